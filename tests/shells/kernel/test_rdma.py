"""RDMA devices as `NETLINK_RDMA` tells them: from a recording, and from replies made of the attributes that matter."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from nri_netdev.domain.effects import RdmaDevice
from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.shells.kernel import rdma
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack, pack_all, to_int, u32
from nri_netdev.shells.kernel.netlink import NLM_F_ACK, NLM_F_DUMP, NetlinkError
from nri_netdev.shells.kernel.rdma import (
    add_link,
    char_devices,
    char_devices_of,
    move_rdma,
    names_of,
    rdma_devices,
    read,
)

GET, PORT_GET, SYS_GET, GET_CHARDEV = 0x1401, 0x1405, 0x1406, 0x140F
MLX5, RXE, SIW = 1, 14, 18


class Answers:
    """Answers like a kernel with these devices: name, driver, and the ifindex of each port (0 for none)."""

    def __init__(self, *devices: tuple[str, int, tuple[int, ...]], mode: int | None = 1) -> None:
        self._devices = devices
        self._mode = mode
        self.asked: list[int] = []

    def request(self, kind: int, flags: int, payload: bytes) -> tuple[list[bytes], bool]:
        self.asked.append(kind)
        assert bool(flags & NLM_F_DUMP) is (kind in {GET, PORT_GET})
        if kind == GET:
            handles = enumerate(self._devices)
            return [pack_all({1: u32(n), 2: from_text(name), 3: u32(1)}) for n, (name, _, _) in handles], False
        if kind == SYS_GET:
            if self._mode is None:
                raise NetlinkError(errno.EINVAL, "")
            return [pack(66, bytes([self._mode]))], False
        _name, driver, ports = self._devices[to_int(attributes(payload)[1]) or 0]
        if kind == PORT_GET:
            if not ports:
                raise NetlinkError(errno.EINVAL, "")
            every = enumerate(ports, 1)
            return [pack_all({3: u32(n), **({50: u32(port)} if port else {})}) for n, port in every], False
        assert attributes(payload)[69] == b"uverbs\0"
        if driver == 0:
            raise NetlinkError(errno.ENOENT, "")
        return [pack_all({70: from_text("uverbs0"), 73: u32(driver)})], False


RECORDED = {
    (GET, ""): [
        (
            "080001000000000009000200727865300000000008000300010000000c000400763c2201c00100000c000600010100feff0054500c0007"
            "00010100feff00545005000e00010000000500540000000000050065000100000009004300726f636500000000"
        ),
        (
            "080001000100000009000200727865310000000008000300010000000c000400763c2201c00100000c000600020100feff0054500c0007"
            "00020100feff00545005000e00010000000500540000000000050065000100000009004300726f636500000000"
        ),
    ],
    (PORT_GET, "0800010000000000"): [
        (
            "0800010000000000090002007278653000000000080003000100000005000c000400000005000d000500000008003200020000000b0033"
            "00656e703173300000"
        )
    ],
    (PORT_GET, "0800010001000000"): [
        (
            "0800010001000000090002007278653100000000080003000100000005000c000100000005000d000300000008003200030000000b0033"
            "00656e703273300000"
        )
    ],
    (SYS_GET, ""): ["05004200000000000500600000000000050067000100000005005d0001000000"],
    (GET_CHARDEV, "08000100000000000b0045007576657262730000"): [
        "080049000e0000000c004800c0e70000000000000c00470002000000000000000c0046007576657262733000"
    ],
    (GET_CHARDEV, "08000100010000000b0045007576657262730000"): [
        "080049000e0000000c004800c1e70000000000000c00470002000000000000000c0046007576657262733100"
    ],
}
"""What Linux 7.3 answered with rxe0 on interface 2 and rxe1 on interface 3, in the exclusive mode (little-endian)."""


class Recorded:
    """Answers what was recorded, and nothing else."""

    def request(self, kind: int, _: int, payload: bytes) -> tuple[list[bytes], bool]:
        return [*map(bytes.fromhex, RECORDED[kind, payload.hex()])], False


@pytest.mark.skipif(sys.byteorder != "little", reason="RECORDED ELSEWHERE: the recording is little-endian")
def test_a_kernels_own_answers_are_read() -> None:
    """Recorded on a virtual machine, with devices of rdma_rxe."""
    assert read(Recorded(), has_verbs=True) == {
        2: (RdmaDevice(name="rxe0", link_type="rxe", is_exclusive=True),),
        3: (RdmaDevice(name="rxe1", link_type="rxe", is_exclusive=True),),
    }


def test_devices_are_found_by_their_interfaces() -> None:
    """Of each port; a port without an interface, or with one elsewhere, has none here."""
    kernel = Answers(("mlx5_0", MLX5, (7,)), ("mlx4_0", 0, (8, 9)), ("ibp1", MLX5, (0,)), ("rxe0", RXE, (7,)))

    assert read(kernel, has_verbs=True) == {
        7: (RdmaDevice(name="mlx5_0"), RdmaDevice(name="rxe0", link_type="rxe")),
        8: (RdmaDevice(name="mlx4_0"),),
        9: (RdmaDevice(name="mlx4_0"),),
    }


@pytest.mark.parametrize(("mode", "is_exclusive"), [(0, True), (1, False), (None, False)])
def test_the_mode_says_whether_a_device_belongs_to_one_netns(mode: int | None, *, is_exclusive: bool) -> None:
    """A kernel that knows no modes shares them all."""
    [device] = read(Answers(("mlx5_0", MLX5, (7,)), mode=mode), has_verbs=True)[7]

    assert device.is_exclusive is is_exclusive


def test_software_is_told_by_its_driver() -> None:
    """Where the drivers are not told, a device is taken for hardware."""
    devices = (("siw0", SIW, (7,)),)

    assert read(Answers(*devices), has_verbs=True)[7][0].link_type == "siw"
    unasked = Answers(*devices)
    assert not read(unasked, has_verbs=False)[7][0].link_type
    assert GET_CHARDEV not in unasked.asked


def test_a_device_that_goes_meanwhile_is_left_out() -> None:
    """The others are found."""
    kernel = Answers(("gone0", MLX5, ()), ("mlx5_0", MLX5, (7,)))

    assert read(kernel, has_verbs=True) == {7: (RdmaDevice(name="mlx5_0"),)}


def test_without_the_subsystem_nothing_is_asked(tmp_path: Path) -> None:
    """To open a socket would load it. Where it cannot be asked, there are no devices."""
    assert rdma_devices(tmp_path) == {}
    if not Path("/sys/class/infiniband").exists():
        (tmp_path / "infiniband").mkdir()
        assert rdma_devices(tmp_path) == {}


def test_a_software_device_is_made() -> None:
    """By name, type and interface, as `rdma link add rxe0 type rxe netdev ens1` asks for it."""
    sent: list[tuple[int, int, dict[int, bytes]]] = []

    class Kernel:
        def request(self, kind: int, flags: int, payload: bytes) -> tuple[list[bytes], bool]:
            sent.append((kind, flags, dict(attributes(payload))))
            return [], False

    add_link(Kernel(), "rxe0", "rxe", "ens1")

    assert sent == [(0x1403, NLM_F_ACK, {2: b"rxe0\0", 65: b"rxe\0", 51: b"ens1\0"})]


NIC = Link(ifindex=7, ifname="ens2f0", parent_bus="pci", parent_dev="0000:3b:00.0")
NODES = {
    "infiniband_verbs/uverbs0": ("mlx5_0", "231:192"),
    "infiniband_verbs/uverbs1": ("mlx5_1", "231:193"),
    "infiniband_mad/umad0": ("mlx5_0", "231:0"),
    "infiniband_mad/issm0": ("mlx5_0", "231:64"),
    "infiniband_mad/umad1": ("mlx5_1", "231:1"),
    "misc/rdma_cm": ("", "10:122"),
}


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """`/sys/class` of a host with mlx5_0 on a NIC, and mlx5_1 on another."""
    for place, (device, numbers) in NODES.items():
        entry = tmp_path / "class" / place
        entry.mkdir(parents=True)
        (entry / "dev").write_text(f"{numbers}\n")
        if device:
            (entry / "ibdev").write_text(f"{device}\n")
    (tmp_path / "class/infiniband_verbs/abi_version").write_text("6\n")
    for address, device in (("0000:3b:00.0", "mlx5_0"), ("0000:3b:00.1", "mlx5_1")):
        (tmp_path / "bus/pci/devices" / address / "infiniband" / device).mkdir(parents=True)
    return tmp_path / "class"


def node(name: str, major: int, minor: int) -> CharDevice:
    return CharDevice(path=f"/dev/infiniband/{name}", major=major, minor=minor)


def test_the_nodes_of_an_interface_are_found_by_its_hardware(classes: Path) -> None:
    """Those of its device, and the one that all connections are made by."""
    assert char_devices(NIC, classes) == (
        node("issm0", 231, 64),
        node("rdma_cm", 10, 122),
        node("umad0", 231, 0),
        node("uverbs0", 231, 192),
    )


def test_the_nodes_of_a_device_upon_an_interface_are_found(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Software has no hardware that it is on."""
    upon = {9: (RdmaDevice(name="rxe0", link_type="rxe"),)}
    monkeypatch.setattr(rdma, "rdma_devices", lambda _classes: upon)
    (classes / "infiniband_verbs/uverbs0/ibdev").write_text("rxe0\n")

    assert char_devices(Link(ifindex=9, ifname="ens5"), classes) == (
        node("rdma_cm", 10, 122),
        node("uverbs0", 231, 192),
    )


def test_an_interface_without_rdma_has_no_nodes(classes: Path) -> None:
    """Nor that of connections, which would be of no use."""
    assert char_devices(Link(ifindex=9, ifname="ens5"), classes) == ()
    assert char_devices(Link(ifindex=9, ifname="ens5", parent_bus="..", parent_dev="../etc"), classes) == ()
    assert names_of(NIC, classes / "none") == frozenset()


def test_nodes_are_found_by_name_wherever_the_device_is(classes: Path) -> None:
    """They belong to no netns; one that is going is left out."""
    (classes / "infiniband_mad/umad1/dev").unlink()

    assert char_devices_of({"mlx5_1"}, classes) == (node("rdma_cm", 10, 122), node("uverbs1", 231, 193))
    assert char_devices_of({"gone0"}, classes) == ()


def test_a_device_is_moved() -> None:
    """By its index, as `rdma dev set mlx5_1 netns …` does (`RDMA_NLDEV_CMD_SET`, `RDMA_NLDEV_NET_NS_FD`)."""
    sent: list[tuple[int, int, dict[int, bytes]]] = []

    class Kernel(Answers):
        def request(self, kind: int, flags: int, payload: bytes) -> tuple[list[bytes], bool]:
            if kind == GET:
                return super().request(kind, flags, payload)
            sent.append((kind, flags, attributes(payload)))
            return [], False

    kernel = Kernel(("mlx5_0", MLX5, (7,)), ("mlx5_1", MLX5, (8,)))
    move_rdma(kernel, "mlx5_1", 5)

    assert sent == [(0x1402, NLM_F_ACK, {1: u32(1), 68: u32(5)})]
    with pytest.raises(NetlinkError) as caught:
        move_rdma(kernel, "mlx5_9", 5)
    assert (caught.value.number, caught.value.reason) == (errno.ENODEV, "there is no RDMA device mlx5_9 here")
