"""What a pod's annotations ask for one container, and what can be known before the container comes."""

from __future__ import annotations

import pytest

from nri_netdev.domain.annotations import entries
from nri_netdev.domain.annotations.entries import MAX_NAMED, entries_by_container, entries_of
from nri_netdev.domain.annotations.grammars import CONTAINER_KEY_PREFIX, POD_KEY, Grammar, Source
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import Reason, RequestError
from tests.domain.annotations.test_request import HOSTILE
from tests.domain.work import calls_of


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    for kept in (entries._short, entries._long):
        kept.cache_clear()


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


@pytest.mark.parametrize("annotations", [{"nri-netdev.io/pods": "[]"}, {"nri-netdev.io/container.": "[]"}])
def test_nothing_is_known_of_what_will_be_refused(annotations: dict[str, str]) -> None:
    """Unknown keys, and keys that name no container, refuse every container; so do two keys for the same."""
    names = {"nri-netdev.io/container.one": "- ens1", "network-devices.nri.io/container.two": "- hostIf: ens2"}
    both = {"nri-netdev.io/container.two": "- ens2"}
    assert set(entries_by_container(PodSandbox(id="p", annotations=names))) == {"one", "two"}
    assert set(entries_by_container(PodSandbox(id="p", annotations=names | both))) == {"one"}
    found = entries_by_container(PodSandbox(id="p", annotations=annotations | names))
    assert set(found) == (set() if "nri-netdev.io/pods" in annotations else {"one", "two"})
    assert entries_by_container(PodSandbox(id="p", annotations=annotations)) == {}


def test_what_is_known_is_what_a_container_gets() -> None:
    """The same entries, whether they are read before it comes or then."""
    annotations = {f"{CONTAINER_KEY_PREFIX}c{n}": f"- {{interface: ens{n}, mtu: 9000}}" for n in range(5)}
    pod = PodSandbox(id="p", annotations=annotations | {POD_KEY: "[]"})
    found = entries_by_container(pod)
    assert found == {f"c{n}": entries_of(pod, Container(id="c", name=f"c{n}", pod_id="p")) for n in range(5)}


def test_few_containers_are_known_before_they_come() -> None:
    """As many as may be prepared for, and none whose annotations are long; the others are read when they come."""
    many = {f"{CONTAINER_KEY_PREFIX}c{n:03}": f"- ens{n}" for n in range(MAX_NAMED + 2)}
    assert list(entries_by_container(PodSandbox(id="p", annotations=many))) == [f"c{n:03}" for n in range(MAX_NAMED)]
    assert asked(many, f"c{MAX_NAMED + 1:03}") == [f"ens{MAX_NAMED + 1}"]
    long = many | {f"{CONTAINER_KEY_PREFIX}c002": "- ens2 #" + " " * entries._NAMED_CHARS}
    assert list(entries_by_container(PodSandbox(id="p", annotations=long))) == ["c000", "c001"]
    assert asked(long, "c002") == ["ens2"]


@pytest.mark.parametrize("count", [40, 7000])
@pytest.mark.parametrize("grammar", [CONTAINER_KEY_PREFIX, "network-devices.nri.io/container."])
@pytest.mark.parametrize("value", ["[]", *HOSTILE.values()], ids=["nothing", *HOSTILE])
def test_a_hostile_pod_takes_the_daemon_no_time(value: str, grammar: str, count: int) -> None:
    """However many containers it names, what it asks for itself is read once; and again it costs next to nothing."""
    pod = PodSandbox(id="p", annotations={POD_KEY: value} | {f"{grammar}c{n}": "[]" for n in range(count)})
    assert calls_of(lambda: entries_by_container(pod)) < 600_000
    assert calls_of(lambda: entries_by_container(pod)) < 100_000


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_containers_take_the_daemon_no_time(value: str) -> None:
    """A pod's annotations have 256 KiB together: a few that are dear, or many that are not."""
    part = value[: 256 * 1024 // 40]
    pod = PodSandbox(id="p", annotations={f"{CONTAINER_KEY_PREFIX}c{n}": f"{part}#{n}" for n in range(40)})
    assert calls_of(lambda: entries_by_container(pod)) < 600_000


@pytest.mark.parametrize("key", [POD_KEY, f"{CONTAINER_KEY_PREFIX}web", f"{CONTAINER_KEY_PREFIX}other"])
def test_a_container_without_a_pod_sandbox_gets_nothing(key: str) -> None:
    """It is refused if it asks, under whatever name: there is no other container that could be meant."""
    container = Container(id="d", name="web", pod_id="d")
    with pytest.raises(RequestError, match="without a pod sandbox, as Docker runs them") as refused:
        entries_of(PodSandbox(id="d", annotations={key: "- ens1"}), container)
    assert refused.value.reason is Reason.POD
    assert entries_of(PodSandbox(id="d", annotations={"app": "- ens1"}), container) == ()


def test_unknown_keys_take_the_daemon_no_time() -> None:
    """However many there are, and however near to what is known."""
    pod = PodSandbox(id="p", annotations={POD_KEY: "[]"} | {f"nri-netdev.io/pod{n}": "[]" for n in range(7000)})
    container = Container(id="c", name="app", pod_id="p")

    def refused() -> None:
        with pytest.raises(RequestError, match=r"unknown annotation key .did you mean .* and 6992 more"):
            entries_of(pod, container)

    assert calls_of(refused) < 600_000
    assert entries_by_container(PodSandbox(id="p", annotations=pod.annotations)) == {}


def test_what_is_kept_has_a_limit() -> None:
    """Many short annotations, few long ones, and none that is longer than one may be."""
    source = Source(key="k", scope=Scope.POD, grammar=Grammar.NATIVE)
    short, long = "- ens1", "- ens1 #" + "x" * 2000
    for text, enough in ((short, 64), (long, 4)):
        first = entries._kept(text, source)
        for number in range(enough - 1):
            entries._kept(f"{text}#{number}", source)
        assert entries._kept(text, source) is first
        for number in range(enough):
            entries._kept(f"{text}#{number}", source)
        assert entries._kept(text, source) is not first
        assert entries._kept(text, source) == first
    kept = entries._long.cache_info()
    [problem] = entries._kept("x" * (256 * 1024 + 1), source)
    assert "is larger than 256 KiB" in str(problem)
    assert entries._long.cache_info() == kept
