"""One rule for a plugin's name and one for its index, which the session obeys as well."""

from __future__ import annotations

import pytest

from nri_netdev.errors import LocalProtocolError
from nri_netdev.wire.identity import why_invalid_index, why_invalid_name
from nri_netdev.wire.session import PluginSession


@pytest.mark.parametrize("name", ["a", "nri-netdev", "A.b_c+d-9"])
def test_a_name_is_made_of_letters_digits_and_four_signs(name: str) -> None:
    """And the session takes it."""
    assert why_invalid_name(name) is None
    PluginSession(name, "10")


@pytest.mark.parametrize("name", ["", "a b", "größe", "a/b", "a\n", "a\x00"])
def test_another_name_is_refused(name: str) -> None:
    """And the session refuses it."""
    assert why_invalid_name(name) == "is not made of letters, digits and _.+-"
    with pytest.raises(LocalProtocolError, match="is no name for a plugin"):
        PluginSession(name, "10")


@pytest.mark.parametrize("index", ["00", "10", "99"])
def test_an_index_is_two_digits(index: str) -> None:
    """And the session takes it."""
    assert why_invalid_index(index) is None
    PluginSession("a", index)


@pytest.mark.parametrize("index", ["", "1", "100", "-1", "1x", "1\n", "٣٤", "²²"])
def test_another_index_is_refused(index: str) -> None:
    """And the session refuses it."""
    assert why_invalid_index(index) == "is not two digits, 00 to 99"
    with pytest.raises(LocalProtocolError, match="is no index for a plugin"):
        PluginSession("a", index)
