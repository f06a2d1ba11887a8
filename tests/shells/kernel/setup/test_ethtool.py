"""What ethtool sets for a pod: on a real kernel, seen by the ioctls, and on a driver that is made up."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Callable, Mapping

import pytest

from nri_netdev.domain.setup.ethtool_names import CHANNELS, COALESCE, RINGS
from nri_netdev.domain.setup.values import EthtoolSetup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, from_text, pack, pack_all, to_text, u32, walk
from nri_netdev.shells.kernel.facets.facet import Site
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.setup import ethtool
from nri_netdev.shells.kernel.setup.ethtool import apply_ethtool
from tests.shells.conftest import Net

GET_TSO, GET_SG, GET_GRO, GET_CHANNELS = 0x1E, 0x18, 0x2B, 0x3C
SIOCETHTOOL = 0x8946
VETH = "numtxqueues 4 numrxqueues 4 type veth peer name peer0"


def told(net: Net, command: int, words: int = 1) -> tuple[int, ...]:
    """What an ioctl of ethtool tells of `dev0`: no part of it is netlink."""
    answer = ctypes.create_string_buffer(struct.pack("=I", command) + bytes(4 * words))

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", b"dev0", ctypes.addressof(answer)))

    call_in_netns(net.fd, ask)
    return struct.unpack(f"={words}I", answer.raw[4 : 4 + 4 * words])


def apply(net: Net, wanted: EthtoolSetup) -> None:
    net.call(apply_ethtool, net.link("dev0").ifindex, wanted)


def refusal(net: Net, wanted: EthtoolSetup) -> str:
    with pytest.raises(KernelError) as caught:
        apply(net, wanted)
    return str(caught.value)


@pytest.fixture
def made(home: Net) -> Callable[[str], Net]:
    """Makes an interface `dev0`."""

    def make(kind: str) -> Net:
        home.ip("link add under0 type ifb")
        home.ip(f"link add dev0 {kind}")
        return home

    return make


# -- on a real kernel --------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize(("name", "command"), [("tso", GET_TSO), ("sg", GET_SG), ("gro", GET_GRO), ("rx-gro", GET_GRO)])
def test_a_feature_is_switched(made: Callable[[str], Net], name: str, command: int) -> None:
    """Off and on again, by the kernel's name and by those of ethtool."""
    net = made(VETH)
    seen = []
    for is_on in (False, True, False):
        apply(net, EthtoolSetup(features={name: is_on}))
        seen += told(net, command)

    assert seen == [0, 1, 0]


@pytest.mark.root
def test_a_feature_by_itself_goes_before_those_it_is_among(made: Callable[[str], Net]) -> None:
    """In whichever order they are written."""
    net = made(VETH)
    apply(net, EthtoolSetup(features={"tx-tcp6-segmentation": True, "tso": False}))
    features = net.call(lambda rtnl: ethtool._read_features(Site(rtnl, net.link("dev0").ifindex)))

    assert "tx-tcp6-segmentation" in features.active
    assert "tx-tcp-segmentation" not in features.active


@pytest.mark.root
def test_channels_are_set(made: Callable[[str], Net]) -> None:
    """As the ioctl tells them: four maxima, then rx, tx, other, combined."""
    net = made(VETH)
    apply(net, EthtoolSetup(channels={"rx": 3, "tx": 2}))

    assert told(net, GET_CHANNELS, 8) == (4, 4, 0, 0, 3, 2, 0, 0)


@pytest.mark.root
def test_what_is_so_is_not_set(made: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver may reset the link for a request that changes nothing."""
    wanted = EthtoolSetup(features={"tso": False, "rx-gro": True, "rx-gro-hw": False}, channels={"rx": 3, "tx": 2})
    net = made(VETH)
    apply(net, wanted)
    real, asked = ethtool.ask, []

    def ask(site: Site, action: str, command: int, attrs: bytes = b"", flags: int = 0) -> list[bytes]:
        asked.append(command)
        return real(site, action, command, attrs, flags)

    monkeypatch.setattr(ethtool, "ask", ask)
    apply(net, wanted)

    assert asked == [17, 11]


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "wanted", "text"),
    [
        (
            VETH,
            EthtoolSetup(features={"rx-gro-hw": True}),
            "cannot set ethtool.features.rx-gro-hw to true: the driver has it fixed to off",
        ),
        (
            "link under0 type macvlan",
            EthtoolSetup(features={"tx": False}),
            "cannot set ethtool.features.tx to false: the driver has it fixed to on",
        ),
        (
            VETH,
            EthtoolSetup(features={"rx-grow": True}),
            "cannot set ethtool.features.rx-grow: this kernel has no such feature; `ethtool -k` names those",
        ),
        (
            VETH,
            EthtoolSetup(features={"gro": True, "rx-gro": False}),
            "cannot set ethtool.features.gro to true: another name sets the same feature otherwise",
        ),
        (
            VETH,
            EthtoolSetup(features={"gso": True, "sg": False}),
            "cannot set ethtool.features.gso to true: the kernel has taken it and has tx-generic-segmentation off",
        ),
        (VETH, EthtoolSetup(channels={"rx": 9}), "cannot set ethtool.channels.rx to 9: the maximum is 4"),
        (
            VETH,
            EthtoolSetup(channels={"combined": 1}),
            "cannot set ethtool.channels.combined to 1: this driver has none",
        ),
        (VETH, EthtoolSetup(channels={"rx": 0}), "cannot set ethtool.channels.rx to 0: "),
        ("type ifb", EthtoolSetup(channels={"rx": 1}), "cannot set ethtool.channels: this driver has none"),
        (VETH, EthtoolSetup(rings={"rx": 512}), "cannot set ethtool.rings: this driver has none"),
        (VETH, EthtoolSetup(coalesce={"rx-usecs": 8}), "cannot set ethtool.coalesce: this driver has none"),
        (VETH, EthtoolSetup(private_flags={"x": True}), "cannot set ethtool.private_flags: this driver has none"),
    ],
)
def test_what_cannot_be_is_told(made: Callable[[str], Net], kind: str, wanted: EthtoolSetup, text: str) -> None:
    """In the words of the annotation."""
    assert refusal(made(kind), wanted).startswith(text)


@pytest.mark.root
def test_a_feature_that_stays_as_it_is_is_refused(made: Callable[[str], Net]) -> None:
    """The kernel takes the request, and a macvlan's GRO stays on."""
    text = refusal(made("link under0 type macvlan"), EthtoolSetup(features={"gro": False}))

    assert text.startswith("cannot set ethtool.features.gro to false: the kernel has taken it and has rx-gro on")


@pytest.mark.root
def test_an_interface_that_is_gone_has_not_just_nothing_to_set(home: Net) -> None:
    """It is told."""
    with pytest.raises(KernelError, match="ENODEV"):
        home.call(apply_ethtool, 77, EthtoolSetup(rings={"rx": 5}))


# -- on a driver that is made up ---------------------------------------------------------------------------------------

RINGS_GET, COALESCE_GET, FLAGS_GET, FLAGS_SET = 15, 19, 13, 14


def bitset(flags: Mapping[str, bool]) -> bytes:
    """A bitset in words, with a mask."""
    each = (pack(2, from_text(name)) + (pack(3, b"") if is_on else b"") for name, is_on in flags.items())
    return pack(2, u32(len(flags))) + pack(3 | NLA_F_NESTED, b"".join(pack(1 | NLA_F_NESTED, bit) for bit in each))


class Driver:
    """Has numbers by command and attribute, and private flags; makes of a number what it likes."""

    def __init__(self, numbers: Mapping[int, Mapping[int, bytes]], flags: Mapping[str, bool] | None = None) -> None:
        self.numbers = {command: dict(each) for command, each in numbers.items()}
        self.flags = dict(flags or {})
        self.makes: Callable[[bytes], bytes] = lambda value: value
        self.sent: list[tuple[int, dict[int, bytes]]] = []
        self.is_deaf = False

    def ask(self, _site: Site, _action: str, command: int, attrs: bytes = b"", flags: int = 1) -> list[bytes]:
        assert flags == 0
        header = pack(1 | NLA_F_NESTED, pack(1, u32(7)))
        if command == FLAGS_GET:
            return [header + pack(2 | NLA_F_NESTED, bitset(self.flags))]
        if command in self.numbers:
            return [header + pack_all(self.numbers[command])]
        self.sent.append((command, attributes(attrs)))
        if command == FLAGS_SET:
            bits = [attributes(bit) for _, bit in walk(attributes(attributes(attrs)[2])[3])]
            asked = {to_text(bit[2]) or "": 3 in bit for bit in bits}
            self.flags |= {} if self.is_deaf else asked
        else:
            self.numbers[command - 1] |= {number: self.makes(value) for number, value in attributes(attrs).items()}
        return []


NIC = {
    RINGS_GET: {2: u32(4096), 5: u32(4096), 6: u32(512), 9: u32(256)},
    COALESCE_GET: {2: u32(8), 3: u32(32), 11: b"\0"},
}


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A NIC with rings, coalescing and private flags."""
    made_up = Driver(NIC, {"legacy-rx": False, "link-down-on-close": True})
    monkeypatch.setattr(ethtool, "ask", made_up.ask)
    return made_up


def apply_up(wanted: EthtoolSetup) -> str:
    """Apply it to what is made up; what is told, or nothing."""
    try:
        apply_ethtool(None, 7, wanted)  # type: ignore[arg-type]
    except KernelError as error:
        return str(error)
    return ""


def test_only_what_differs_is_sent(driver: Driver) -> None:
    """In the size that the driver tells it in: switches are bytes."""
    wanted = EthtoolSetup(
        rings={"rx": 512, "tx": 1024},
        coalesce={"rx-usecs": 50, "rx-frames": 32, "adaptive-rx": 1},
        private_flags={"legacy-rx": True, "link-down-on-close": True},
    )

    assert apply_up(wanted) == ""
    assert [command for command, _ in driver.sent] == [FLAGS_SET, 16, 20]
    assert [attrs for _, attrs in driver.sent[1:]] == [{9: u32(1024)}, {2: u32(50), 11: b"\1"}]
    assert driver.flags == {"legacy-rx": True, "link-down-on-close": True}
    driver.sent.clear()
    assert apply_up(wanted) == ""
    assert driver.sent == []


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (EthtoolSetup(rings={"rx": 9000}), "cannot set ethtool.rings.rx to 9000: the maximum is 4096"),
        (EthtoolSetup(rings={"rx-mini": 8}), "cannot set ethtool.rings.rx-mini to 8: this driver has none"),
        (
            EthtoolSetup(rings={"mini": 8}),
            f"cannot set ethtool.rings.mini: there is no such name, but {', '.join(RINGS)}",
        ),
        (EthtoolSetup(coalesce={"tx-usecs": 8}), "cannot set ethtool.coalesce.tx-usecs to 8: this driver has none"),
        (EthtoolSetup(coalesce={"adaptive-rx": 2}), "cannot set ethtool.coalesce.adaptive-rx to 2: the maximum is 1"),
        (
            EthtoolSetup(coalesce={"rx-usecs": 1 << 32}),
            "cannot set ethtool.coalesce.rx-usecs to 4294967296: the maximum",
        ),
        (
            EthtoolSetup(private_flags={"legacy": True}),
            "cannot set ethtool.private_flags.legacy: there is no such name, but legacy-rx, link-down-on-close",
        ),
    ],
)
def test_what_a_driver_lacks_is_told(driver: Driver, wanted: EthtoolSetup, text: str) -> None:
    """And nothing is set."""
    assert apply_up(wanted).startswith(text)
    assert driver.sent == []


def test_what_a_driver_makes_otherwise_is_told(driver: Driver) -> None:
    """Some round to a multiple of their own."""
    driver.makes = lambda _value: u32(1008)

    assert apply_up(EthtoolSetup(rings={"tx": 1000})).startswith(
        "cannot set ethtool.rings.tx to 1000: the driver has made it 1008; ask for that"
    )


def test_what_a_driver_adapts_is_not_compared(driver: Driver) -> None:
    """While it adapts, it tells what it has chosen."""
    driver.numbers[COALESCE_GET][11] = b"\1"
    driver.makes = lambda _value: u32(3)

    assert apply_up(EthtoolSetup(coalesce={"rx-usecs": 50})) == ""


def test_a_flag_that_stays_as_it_is_is_told(driver: Driver) -> None:
    """Though the driver has taken it."""
    driver.is_deaf = True

    assert apply_up(EthtoolSetup(private_flags={"legacy-rx": True})).startswith(
        "cannot set ethtool.private_flags.legacy-rx to true: the driver has not done it"
    )


def test_a_kernel_without_netlink_of_ethtool(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no matter of the driver."""
    monkeypatch.setattr(ethtool, "ask", lambda *_args, **_kwargs: [])

    assert apply_up(EthtoolSetup(rings={"rx": 5})).startswith("cannot set ethtool.rings: this kernel has no netlink of")


def test_every_name_has_the_maximum_of_its_own() -> None:
    """By the numbers: each maximum is four less."""
    assert ethtool._RINGS.to_maximum == ethtool._CHANNELS.to_maximum == -4
    assert {number - 4 for number in (*RINGS.values(), *CHANNELS.values())} == {2, 3, 4, 5}
    assert ethtool._ADAPTIVE.keys() <= COALESCE.keys()
