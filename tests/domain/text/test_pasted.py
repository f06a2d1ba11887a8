"""What was copied from `ip` in place of a name is refused with what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.text.names import why_invalid
from nri_netdev.domain.text.pasted import advice, with_advice
from tests.domain.work import calls_of

ALONE = "write ens9, without what stands around it"
PEER = "write ens9: what follows @ is its lower device or its peer, as `ip link` shows it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ens9@if7", PEER),
        ("ens9@if7:", PEER),
        ("ens9@ens8", PEER),
        ("ens9@NONE", PEER),
        ("2: ens9@if7", PEER),
        ("2: ens9@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue", PEER),
        ("ens9@if7         UP             02:00:5e:10:00:01 <BROADCAST,MULTICAST>", PEER),
        ("ens9:", ALONE),
        ("2: ens9", ALONE),
        ("2: ens9:", ALONE),
        ("12: ens9: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500", ALONE),
        ("2: ens9    inet 192.0.2.10/24 brd 192.0.2.255 scope global ens9", ALONE),
        ("ens9: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500", ALONE),
        ("ens9             UP             02:00:5e:10:00:01 <BROADCAST,UP>", ALONE),
        ("ens9 DOWN", ALONE),
        ("dev ens9", ALONE),
        ("/sys/class/net/ens9", ALONE),
        ("ens9:1", "write ens9: what follows the colon is the label of an address"),
        ("ens9.100@ens9", PEER.replace("ens9:", "ens9.100:")),
        ("02:00:5e:10:00:01", "it is a MAC address; nri-netdev's own … as mac: 02:00:5e:10:00:01"),
        ("link/ether 02:00:5e:10:00:01 brd ff:ff:ff:ff:ff:ff", "it is a MAC address; nri-netdev's own … as mac: 02:00:5e:10:00:01"),
        ("0000:3b:00.0", "it is a PCI address; nri-netdev's own … as pci: 0000:3b:00.0"),
        ("3b:00.0", "it is a PCI address; nri-netdev's own … as pci: 3b:00.0"),
        ("pci/0000:3b:00.0", "it is a PCI address; nri-netdev's own … as pci: 0000:3b:00.0"),
        ("altname enp3s0", "it is an altname; nri-netdev's own … as altname: enp3s0"),
        ("192.0.2.10/24", "it is an IP address, not an interface; `ip -brief address` shows whose"),
        ("inet6 2001:db8::10/64 scope global", "it is an IP address, not an interface; `ip -brief address` shows whose"),
    ],
)  # fmt: skip
def test_what_was_copied(text: str, told: str) -> None:
    """The name in it, or the field that it is for."""
    assert advice(text) == told.replace("…", "annotations and rules take it")


@pytest.mark.parametrize(
    "text",
    ["", "ens9", "ens2f*", "größe", "a b", "a/b", "-x", "@", "ens9@", "@if7", "a:b", "net%d", "{pool}{n}", "a\nb:", "\x1b[2J:", "a: b", "- {a: b}"],
)  # fmt: skip
def test_anything_else(text: str) -> None:
    """Has no advice."""
    assert advice(text) == ""
    assert with_advice("is wrong", text) == "is wrong"


def test_a_refused_name_has_the_advice() -> None:
    """After the reason; a name that the kernel takes is not refused for looking so."""
    assert why_invalid("ens9:") == f'contains ":", which the kernel refuses; {ALONE}'
    assert why_invalid("ens9@if7") is None


@given(st.text())
def test_any_text(text: str) -> None:
    """Gives a line that can be shown, or nothing."""
    assert advice(text).isprintable()


def test_a_long_text_takes_no_time() -> None:
    """Only its beginning is looked at."""
    assert calls_of(lambda: advice("a:" * 100_000)) < 100
