"""RDMA devices are made again in the pod, and moved where each belongs to one netns: over a kernel in memory.

This machine's kernel has no RDMA; tests/vm/test_as_asked.py does the same with rxe on two kernels.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from nri_netdev.domain.effects import RdmaDevice
from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.netlink import NetlinkError
from nri_netdev.shells.kernel.setup import rdma
from nri_netdev.shells.kernel.setup.rdma import give_rdma, take_rdma

HOME, POD = 3, 4
LINK = Link(ifindex=2, ifname="nic0")


@dataclass(slots=True)
class Rdma:
    """The RDMA subsystem: each device with its netns and number."""

    is_exclusive: bool = True
    hardware: frozenset[str] = frozenset()
    is_movable: bool = True
    is_renumbered: bool = False
    here: int = HOME
    devices: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    made: list[tuple[str, str, str]] = field(default_factory=list)

    def within(self, netns_fd: int, function: Callable[..., None], *args: object) -> None:
        self.here, before = netns_fd, self.here
        function(*args)
        self.here = before

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        yield self.here

    def names_here(self, opened: int) -> frozenset[str]:
        return frozenset(name for name, of in self.devices.items() if of == opened or not self.is_exclusive)

    def add_link(self, opened: int, name: str, link_type: str, ifname: str) -> None:
        assert opened == POD
        if name in self.devices:
            raise NetlinkError(errno.EEXIST, "")
        self.devices[name] = HOME  # as the kernel has it, wherever it is made
        self.made.append((name, link_type, ifname))

    def move_rdma(self, opened: int, name: str, netns_fd: int) -> None:
        assert self.devices[name] == opened
        if not self.is_movable:
            raise NetlinkError(errno.EOPNOTSUPP, "")
        self.devices[name] = netns_fd
        self.numbers[name] = self.numbers.get(name, 0) + self.is_renumbered

    def upon(self) -> Mapping[int, tuple[RdmaDevice, ...]]:
        names = {name for name, *_ in self.made} & self.names_here(self.here)
        return {7: tuple(RdmaDevice(name=name, link_type="rxe") for name in names)}

    def nodes(self, names: Collection[str]) -> tuple[CharDevice, ...]:
        return tuple(CharDevice(path=name, major=231, minor=self.numbers.get(name, 0)) for name in names)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Rdma:
    kernel = Rdma()
    for name, value in {
        "call_in_netns": kernel.within,
        "_opened": kernel.opened,
        "is_exclusive": lambda _: kernel.is_exclusive,
        "names_here": kernel.names_here,
        "names_of_hardware": lambda _: kernel.hardware,
        "add_link": kernel.add_link,
        "move_rdma": kernel.move_rdma,
        "rdma_devices": kernel.upon,
        "char_devices_of": kernel.nodes,
    }.items():
        monkeypatch.setattr(rdma, name, value)
    monkeypatch.setattr("socket.if_indextoname", lambda ifindex: {7: "net1"}[ifindex])
    return kernel


def _snapshot(*messages: bytes) -> Snapshot:
    return Snapshot(link=LINK, addresses=(), ifindex=2, facets={"rdma": messages})


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_what_software_has_made_is_made_again(kernel: Rdma, *, is_exclusive: bool) -> None:
    kernel.is_exclusive = is_exclusive
    for _ in range(2):
        give_rdma(POD, 7, _snapshot(b"rxe0 rxe"))
        assert kernel.made == [("rxe0", "rxe", "net1")]
        assert kernel.devices == {"rxe0": POD if is_exclusive else HOME}


def test_one_that_was_made_and_not_moved_is_moved(kernel: Rdma) -> None:
    """A daemon died between the two."""
    kernel.devices["rxe0"] = HOME
    give_rdma(POD, 7, _snapshot(b"rxe0 rxe"))
    assert (kernel.made, kernel.devices) == ([], {"rxe0": POD})


def test_one_of_hardware_goes_and_comes(kernel: Rdma) -> None:
    kernel.hardware, kernel.devices = frozenset({"mlx5_0"}), {"mlx5_0": HOME, "mlx5_1": HOME}
    for _ in range(2):
        give_rdma(POD, 7, _snapshot())
        assert kernel.devices == {"mlx5_0": POD, "mlx5_1": HOME}
    for _ in range(2):
        take_rdma(POD, LINK, HOME)
        assert kernel.devices == {"mlx5_0": HOME, "mlx5_1": HOME}


def test_shared_ones_stay_where_they_are(kernel: Rdma) -> None:
    kernel.is_exclusive, kernel.hardware, kernel.devices = False, frozenset({"mlx5_0"}), {"mlx5_0": HOME}
    give_rdma(POD, 7, _snapshot())
    take_rdma(POD, LINK, HOME)
    assert kernel.devices == {"mlx5_0": HOME}


def test_a_driver_that_cannot_leave_is_told(kernel: Rdma) -> None:
    kernel.is_movable, kernel.hardware, kernel.devices = False, frozenset({"mlx5_0"}), {"mlx5_0": HOME}
    with pytest.raises(KernelError, match=r"its driver cannot have it leave.*rdma system set netns shared"):
        give_rdma(POD, 7, _snapshot())
    kernel.devices = {"mlx5_0": POD}
    take_rdma(POD, LINK, HOME)  # the kernel brings it when the pod's netns ends


def test_other_numbers_are_told(kernel: Rdma) -> None:
    """The container's nodes would lead elsewhere."""
    kernel.is_renumbered, kernel.hardware, kernel.devices = True, frozenset({"mlx5_0"}), {"mlx5_0": HOME}
    with pytest.raises(KernelError, match="other numbers") as refusal:
        give_rdma(POD, 7, _snapshot())
    assert refusal.value.refusal is Reason.BUSY
