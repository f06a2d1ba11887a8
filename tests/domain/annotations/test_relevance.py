"""The first question asked of every container of the node: whether its pod's annotations concern us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.relevance import mentions
from nri_netdev.domain.annotations.request import parse
from tests.domain.annotations.test_request import EVERY_KEY


@pytest.mark.parametrize("key", [*EVERY_KEY, "nri-netdev.io/whatever"])
def test_no_key_that_concerns_us_is_missed(key: str) -> None:
    """Else a container would start without its interface."""
    assert mentions({"a": "", key: "", "z": ""})


@pytest.mark.parametrize("key", ["", "kubernetes.io/config.source", "devices.nri.io/pod", "cni.example/networks"])
def test_what_does_not_concern_us_is_passed_over(key: str) -> None:
    """So that un-annotated pods pay nothing."""
    assert not mentions({key: "nri-netdev.io/pod"})
    assert not mentions({})


@given(st.dictionaries(st.sampled_from(EVERY_KEY) | st.text(), st.sampled_from(["[a]", "x: ["])))
def test_where_it_says_no_there_is_nothing(annotations: dict[str, str]) -> None:
    """The short path and the long one agree."""
    if not mentions(annotations):
        parsed = parse(annotations, container="app")
        assert (parsed.entries, parsed.problems) == ((), ())
