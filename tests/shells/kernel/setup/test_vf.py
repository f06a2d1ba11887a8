"""What a physical function sets for a virtual function: requests byte by byte; a real kernel's refusals."""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import VfSetup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, pack
from nri_netdev.shells.kernel.messages import IFLA_ADDRESS, RTM_NEWLINK, link_attributes, link_header
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import vf
from nri_netdev.shells.kernel.setup.vf import apply_vf
from nri_netdev.shells.kernel.sysfs import facts
from tests.shells.conftest import Net

PF, VF = 3, 1
LINK = Link(ifindex=7, ifname="ens2f0v1")


class Kernel:
    """Takes changes of links, or refuses those of one attribute of a virtual function."""

    def __init__(self, refused: int = 0, reason: str = "") -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.own_mac = b""
        self._refused = refused
        self._reason = reason

    def change(self, action: str, kind: int, payload: bytes, flags: int = 0) -> None:
        assert (kind, flags) == (RTM_NEWLINK, 0)
        if link_header(payload)[0] == LINK.ifindex:
            self.own_mac = link_attributes(payload)[IFLA_ADDRESS]
            return
        assert link_header(payload)[0] == PF
        for number, value in attributes(attributes(link_attributes(payload)[22])[1]).items():
            if number == self._refused:
                raise KernelError(action=action, errno=errno.EOPNOTSUPP, reason=self._reason)
            self.sent.append((number, value))


def now(settings: Mapping[int, bytes]) -> bytes:
    """What a kernel tells of the virtual function."""
    return b"".join(pack(number, value) for number, value in settings.items())


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> dict[int, bytes]:
    """What the physical function has of the virtual function so far."""
    settings: dict[int, bytes] = {}
    monkeypatch.setattr(vf, "own_vf", lambda _site: (PF, VF))
    monkeypatch.setattr(vf, "read_own_vf", lambda _site: (now(settings),))
    return settings


def apply(wanted: VfSetup, kernel: Kernel | None = None) -> list[tuple[int, bytes]]:
    kernel = kernel or Kernel()
    apply_vf(kernel, LINK, wanted)  # type: ignore[arg-type]
    return kernel.sent


def number(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *values)


def tag(vlan: int, qos: int, protocol: bytes) -> bytes:
    return pack(1, number(VF, vlan, qos) + protocol + bytes(2))


MAC = number(VF) + bytes.fromhex("020000000007") + bytes(26)
ALL = VfSetup(
    vlan=7,
    qos=3,
    protocol="802.1ad",
    mac="02:00:00:00:00:07",
    spoofchk=False,
    trust=True,
    link_state="disable",
    min_tx_rate=100,
    max_tx_rate=1000,
)
ALL_SENT = [
    (1, MAC),
    (12, tag(7, 3, b"\x88\xa8")),
    (6, number(VF, 100, 1000)),
    (4, number(VF, 0)),
    (5, number(VF, 2)),
    (9, number(VF, 1)),
]


def test_everything_is_set(has: dict[int, bytes]) -> None:
    """Each by a request of its own, trust last."""
    assert apply(ALL) == ALL_SENT


def test_what_is_so_is_not_set(has: dict[int, bytes]) -> None:
    """Drivers reset the virtual function for it."""
    has.update(ALL_SENT)

    assert apply(ALL) == []
    assert apply(VfSetup(trust=False)) == [(9, number(VF, 0))]


@pytest.mark.parametrize(
    ("trust", "was", "is_set"), [(True, 0, True), (None, 1, True), (None, 0, False), (False, 1, False)]
)
def test_a_trusted_one_gets_its_address_itself(
    has: dict[int, bytes], trust: bool | None, was: int, *, is_set: bool
) -> None:
    """It would set the one that it uses on the physical function when it is reset."""
    has[9] = number(VF, was)
    kernel = Kernel()
    apply(VfSetup(mac="02:00:00:00:00:07", trust=trust), kernel)
    assert kernel.own_mac == (bytes.fromhex("020000000007") if is_set else b"")


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (VfSetup(vlan=7), (12, tag(7, 0, b"\x81\x00"))),
        (VfSetup(vlan=0), (12, tag(0, 0, b"\x81\x00"))),
        (VfSetup(qos=2), (12, tag(9, 2, b"\x81\x00"))),
        (VfSetup(max_tx_rate=500), (6, number(VF, 100, 500))),
        (VfSetup(min_tx_rate=0), (6, number(VF, 0, 800))),
        (VfSetup(link_state="auto"), (5, number(VF, 0))),
    ],
)
def test_what_is_not_asked_for(has: dict[int, bytes], wanted: VfSetup, sent: tuple[int, bytes]) -> None:
    """As with iproute2: priority and protocol are of the tag that is asked for, the other rate stays."""
    has.update({12: tag(9, 5, b"\x88\xa8"), 6: number(VF, 100, 800), 5: number(VF, 1)})

    assert apply(wanted) == [sent]


@pytest.mark.parametrize(
    ("wanted", "refused", "reason", "text"),
    [
        (VfSetup(trust=True), 9, "", "cannot set vf.trust to true: the driver of its physical function cannot"),
        (
            VfSetup(vlan=7, qos=3),
            12,
            "",
            "cannot set vf.vlan to 7 and vf.qos to 3: the driver of its physical function",
        ),
        (VfSetup(link_state="enable"), 5, "not so", "cannot set vf.link_state to enable: not so"),
    ],
)
def test_a_refusal_has_the_words_of_the_annotation(
    has: dict[int, bytes], wanted: VfSetup, refused: int, reason: str, text: str
) -> None:
    """With the reason of the driver, if it gives one."""
    with pytest.raises(KernelError) as caught:
        apply(wanted, Kernel(refused, reason))

    assert str(caught.value).startswith(text)


@pytest.mark.root
def test_an_interface_that_is_none(home: Net) -> None:
    """Nothing is set."""
    home.ip("link add dev0 type ifb")

    with pytest.raises(KernelError, match=r"cannot set vf: dev0 is no virtual function"):
        home.call(apply_vf, home.link("dev0"), VfSetup(vlan=7))


@pytest.mark.root
def test_a_physical_function_that_is_elsewhere(home: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an interface in another netns, or none."""
    home.ip("link add dev0 type ifb")
    link = Link(ifindex=home.link("dev0").ifindex, ifname="dev0", parent_bus="pci", parent_dev="0000:3b:02.0")
    device = tmp_path / "bus/pci/devices/0000:3b:02.0"
    (tmp_path / "bus/pci/devices/0000:3b:00.0").mkdir(parents=True)
    device.mkdir()
    (device / "physfn").symlink_to("../0000:3b:00.0")
    monkeypatch.setattr(vf, "facts", lambda link: facts(link, tmp_path))

    with pytest.raises(KernelError, match=r"its physical function 0000:3b:00\.0 is not on the host \(ENODEV\)"):
        home.call(apply_vf, link, VfSetup(vlan=7))


@pytest.mark.root
@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (VfSetup(mac="02:00:00:00:00:07"), "vf.mac to 02:00:00:00:00:07"),
        (VfSetup(vlan=7, protocol="802.1ad"), "vf.vlan to 7 and vf.protocol to 802.1ad"),
        (VfSetup(max_tx_rate=7), "vf.max_tx_rate to 7"),
        (VfSetup(spoofchk=True), "vf.spoofchk to true"),
        (VfSetup(link_state="enable"), "vf.link_state to enable"),
        (VfSetup(trust=True), "vf.trust to true"),
    ],
)
def test_a_kernel_reads_each_request(home: Net, monkeypatch: pytest.MonkeyPatch, wanted: VfSetup, words: str) -> None:
    """It asks the driver, which has no virtual functions; a malformed request it would refuse as such (`EINVAL`)."""
    home.ip("link add dev0 type ifb")
    monkeypatch.setattr(vf, "own_vf", lambda site: (site.ifindex, 0))
    monkeypatch.setattr(vf, "read_own_vf", lambda _site: ())

    with pytest.raises(KernelError) as caught:
        home.call(apply_vf, home.link("dev0"), wanted)

    assert caught.value.errno == errno.EOPNOTSUPP
    assert str(caught.value).startswith(f"cannot set {words}: the driver of its physical function cannot")


@pytest.mark.root
def test_a_kernel_refuses_a_malformed_request(home: Net) -> None:
    """So the test before tells something."""
    home.ip("link add dev0 type ifb")

    def send(rtnl: Rtnl) -> None:
        short = pack(1 | NLA_F_NESTED, pack(9, number(0)))
        vf.set_vf(vf.Site(rtnl, home.link("dev0").ifindex), home.link("dev0").ifindex, (0, 9), short[:4])

    with pytest.raises(KernelError) as caught:
        home.call(send)

    assert caught.value.errno != errno.EOPNOTSUPP
