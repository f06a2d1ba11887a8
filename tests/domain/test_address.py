"""Listening addresses, as they are written in settings."""

from __future__ import annotations

import pytest

from nri_netdev.domain.address import ListenAddress


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("unix:///run/x.sock", "unix:/run/x.sock"),
        ("127.0.0.1:9808", "127.0.0.1:9808"),
        ("[::1]:9808", "[::1]:9808"),
        ("2001:db8::2:9808", "[2001:db8::2]:9808"),
        ("localhost:0", "localhost:0"),
    ],
)
def test_addresses(text: str, target: str) -> None:
    """As people and Kubernetes write them."""
    assert ListenAddress.parse(text).target == target


@pytest.mark.parametrize("text", ["", "9808", ":9808", "unix://run/x", "h:-1", "h:65536", "h:٣", "h:x"])
def test_no_addresses(text: str) -> None:
    """Neither form."""
    with pytest.raises(ValueError, match="unix://"):
        ListenAddress.parse(text)
