"""What a pod's annotations ask for one container, and what can be known before the container comes."""

from __future__ import annotations

import pytest

from nri_netdev.domain.annotations.entries import entries_by_container, entries_of
from nri_netdev.domain.annotations.grammars import POD_KEY
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.errors import Reason, RequestError


def asked(annotations: dict[str, str], container: str) -> list[str]:
    """The host's names of what is asked for a container."""
    pod = PodSandbox(id="p", annotations=annotations)
    return [entry.interface for entry in entries_of(pod, Container(id="c", name=container, pod_id="p"))]


def test_a_container_gets_its_own_entries_and_the_pods() -> None:
    """Other annotations are not read."""
    annotations = {"nri-netdev.io/container.one": "- ens1", POD_KEY: "- ens2", "example.com/x": "- ["}
    assert asked(annotations, "one") == ["ens1", "ens2"]
    assert asked(annotations, "two") == ["ens2"]


def test_what_cannot_be_understood_is_refused() -> None:
    """With every problem, for the author of the annotation."""
    with pytest.raises(RequestError, match="is not YAML") as refusal:
        asked({POD_KEY: "- ["}, "one")
    assert refusal.value.reason is Reason.ANNOTATION


def test_a_container_that_must_be_named_and_is_not_is_refused() -> None:
    """Where the engine has no name for it and an annotation names a container."""
    with pytest.raises(RequestError, match="the engine does not tell what this one is called"):
        asked({"nri-netdev.io/container.one": "- ens1"}, "")
    assert asked({POD_KEY: "- ens1"}, "") == ["ens1"]


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({}, {""}),
        ({POD_KEY: "- ens1"}, {""}),
        ({"nri-netdev.io/container.one": "- ens1", "nri-netdev.io/container.two": "- ens2"}, {"one", "two"}),
        ({"network-devices.nri.io/container.one": "[{hostIf: ens1}]"}, {"one"}),
        ({POD_KEY: "- ens1", "nri-netdev.io/container.one": "- ens2"}, set()),
        ({"nri-netdev.io/container.one": "- [", "nri-netdev.io/container.two": "- ens2"}, {"two"}),
        ({POD_KEY: "- ["}, set()),
    ],
)
def test_what_can_be_known_before_a_container_comes(annotations: dict[str, str], names: set[str]) -> None:
    """By container, or for the first; where a pod asks and a container of it too, who gets what is not known yet."""
    assert set(entries_by_container(PodSandbox(id="p", annotations=annotations))) == names
