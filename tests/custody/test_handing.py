"""What containers are handed beside their interfaces."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from nri_netdev.custody.returning import Beside
from nri_netdev.domain.effects import Attached, RdmaDevice
from nri_netdev.domain.metadata import METADATA, NETWORK_STATUS
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.errors import RequestError, StateError
from tests.world import World, entries

SET = {"mtu": 9000, "addresses": ["203.0.113.9/24"]}


@dataclass
class FakeHandouts:
    """The port `nri_netdev.custody.ports.HandoutStore` in memory."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    is_full: bool = False

    def make(self, pod_id: str) -> str:
        if self.is_full:
            raise StateError("no room", hint="make some")
        self.files.setdefault(pod_id, {})
        return f"/run/pods/{pod_id}"

    def has(self, pod_id: str) -> bool:
        return pod_id in self.files

    def write(self, pod_id: str, documents: Mapping[str, str]) -> None:
        self.files[pod_id] |= documents

    def keep(self, pod_ids: Collection[str]) -> None:
        self.files = {pod_id: files for pod_id, files in self.files.items() if pod_id in pod_ids}


@pytest.fixture
def store() -> FakeHandouts:
    return FakeHandouts()


@pytest.fixture(name="world")
def _world(store: FakeHandouts) -> World:
    world = World(beside=Beside(handouts=store))
    world.kernel.add("ens1")
    world.kernel.add("ens2", kind=None)
    return world


def created(world: World, *, scope: Scope = Scope.CONTAINER) -> tuple[PodSandbox, Container]:
    """A container with `ens1` that is not started yet."""
    pod = world.run_pod()
    return pod, world.answer(pod, "app", entries(("ens1", "net1"), scope=scope, setup=SET))


def test_it_is_told_before_it_starts_and_again_when_all_is_there(world: World, store: FakeHandouts) -> None:
    """The variables say what is known when it is created, the files what is seen inside."""
    pod, container = created(world)
    asked = entries(("ens1", "net1"), setup=SET)
    handout = world.custody.handing.for_container(pod, container, asked)

    assert handout is not None
    assert handout.source == f"/run/pods/{pod.id}"
    assert handout.env["NRI_NETDEV_INTERFACES"] == "net1"
    assert handout.env["NRI_NETDEV_NET1_HOST"] == "ens1"
    assert handout.env["NRI_NETDEV_NET1_ADDRESSES"] == "203.0.113.9/24"
    assert handout.env["NRI_NETDEV_NET1_MTU"] == "9000"

    world.kernel.change(world.kernel.devices[0], mac="02:00:00:00:00:99")
    world.start(container)
    [status] = json.loads(store.files[pod.id][NETWORK_STATUS])
    assert (status["interface"], status["mac"], status["ips"]) == ("net1", "02:00:00:00:00:99", ["203.0.113.9"])
    assert '"interfaceName":"net1"' in store.files[pod.id][METADATA]


@pytest.mark.parametrize("scope", Scope)
def test_a_second_container_changes_nothing_of_what_the_first_is_told(
    world: World, store: FakeHandouts, scope: Scope
) -> None:
    """When it is created the files tell what is inside already, as seen there; and so do its variables."""
    pod, first = created(world, scope=scope)
    asked = entries(("ens1", "net1"), scope=scope, setup=SET)
    world.custody.handing.for_container(pod, first, asked)
    world.kernel.change(world.kernel.devices[0], mac="02:00:00:00:00:99")
    world.start(first)
    more = entries(("ens2", "net2"), setup=SET)
    second = world.answer(pod, "two", (*(asked if scope is Scope.POD else ()), *more))
    handout = world.custody.handing.for_container(pod, second, more)

    told = {one["interface"]: one for one in json.loads(store.files[pod.id][NETWORK_STATUS])}
    assert told.keys() == {"net1", "net2"}
    assert told["net1"]["mac"] == "02:00:00:00:00:99"
    assert handout is not None
    assert handout.env.get("NRI_NETDEV_NET1_MAC") == ("02:00:00:00:00:99" if scope is Scope.POD else None)


def test_what_is_told_ends_with_the_pod(world: World, store: FakeHandouts) -> None:
    """Not with its container, which may come again."""
    pod, container = created(world, scope=Scope.POD)
    world.custody.handing.for_container(pod, container, entries(("ens1", "net1"), setup=SET))
    world.start(container)
    world.die(container)
    assert pod.id in store.files
    assert world.custody.is_behind
    world.remove_pod(pod)
    assert store.files == {}
    assert not world.custody.is_behind


def test_who_asked_by_a_mere_name_is_told_nothing(world: World, store: FakeHandouts) -> None:
    """Nor who has nothing."""
    pod, container = created(world)
    short = tuple(dataclasses.replace(entry, is_short=True) for entry in entries(("ens1", "net1")))

    assert world.custody.handing.for_container(pod, container, short) is None
    assert world.custody.handing.for_container(world.run_pod(), container, entries(("ens1", "net1"))) is None
    world.start(container)
    assert store.files == {}


def test_a_directory_that_cannot_be_made(world: World, store: FakeHandouts) -> None:
    """The container is refused: what it would be told of is not there."""
    pod, container = created(world)
    store.is_full = True
    with pytest.raises(RequestError, match="no room"):
        world.custody.handing.for_container(pod, container, entries(("ens1", "net1"), setup=SET))


def test_devices_are_read_once_before_the_interface_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And kept for a container that comes later; they are given to who is told nothing, too."""
    read: list[str] = []

    def char_devices(link: object) -> tuple[CharDevice, ...]:
        read.append(str(link))
        return (CharDevice(path="/dev/infiniband/uverbs0", major=231, minor=192),)

    monkeypatch.setattr(world.kernel.setups, "char_devices", char_devices)
    monkeypatch.setattr(world.kernel, "attached", lambda _: Attached(rdma=(RdmaDevice(name="rxe0"),)))
    pod = world.run_pod()
    asked = entries(("ens1", "net1"), scope=Scope.POD, setup={"rdma": True})
    container = world.answer(pod, "app", asked)
    short = tuple(dataclasses.replace(entry, is_short=True) for entry in asked)
    for _ in range(2):
        handout = world.custody.handing.for_container(pod, container, short)
        assert handout is not None
        assert handout.source is None
        assert [device.path for device in handout.devices] == ["/dev/infiniband/uverbs0"]
    assert len(read) == 1


def test_rdma_without_devices_is_refused(world: World) -> None:
    """The container would open nothing; the refusal says what to load."""
    pod = world.run_pod()
    asked = entries(("ens1", "net1"), setup={"rdma": True})
    world.kernel.attached = lambda _: Attached(rdma=(RdmaDevice(name="rxe0"),))  # type: ignore[method-assign]
    container = world.answer(pod, "app", asked)
    with pytest.raises(RequestError, match="no character devices; load ib_uverbs"):
        world.custody.handing.for_container(pod, container, asked)
