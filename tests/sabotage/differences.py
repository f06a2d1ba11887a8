"""Compares two dumps, and what differs with what a claim says is wrong."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.sabotage.dumps import SLACK_S, Dump, Fact

OF_SECTIONS: dict[str, tuple[str, ...]] = {
    "address order": ("order",),
    "bpf": ("program", "tcx", "xdp", "filter", "filters"),
    "class": ("class", "classes"),
    "fdb": ("fdb", "forwarding table"),
    "filter": ("filter", "filters"),
    "mdb": ("mdb",),
    "mptcp": ("mptcp",),
    "nexthop": ("nexthop",),
    "nftables": ("nftables", "netfilter"),
    "rdma": ("rdma",),
    "rule": ("rule",),
    "vlan": ("vlan",),
}
"""What else names anything of a section, for a reader of `nri-netdev claims`; in lower case."""

OF_PARTS: dict[str, tuple[str, ...]] = {
    "--show-fec": ("fec mode",),
    "address": ("mac",),
    "allmulti": ("flags",),
    "altnames": ("alternative name", "alternative names"),
    "brport": ("its place in", "port"),
    "dormant": ("link mode",),
    "ifalias": ("alias",),
    "ifname": ("name", "called"),
    "inet6_addr_gen_mode": ("addr_gen_mode",),
    "info_slave_data": ("its place in", "port"),
    "linkmode": ("link mode",),
    "master": ("its place in", "enslave"),
    "max_mtu": ("mtu", "xdp"),  # some drivers take smaller packets with a program
    "netdev_group": ("group",),
    "operstate": ("up", "down", "link mode"),
    "promiscuity": ("promisc", "flags"),
    "proto_down": ("protocol down",),
    "protodown": ("protocol down",),
    "tx_queue_len": ("queue length",),
    "txqlen": ("queue length",),
    "xdp": ("xdp",),
}
"""What else means a part of a name of the tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not as before."""

    section: str
    subject: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        was, now = ("(absent)" if side is None else side or "(empty)" for side in (self.was, self.now))
        return f"{self.section}: {self.subject}: {was} -> {now}"

    @property
    def words(self) -> tuple[str, ...]:
        """Any of these in a trouble names it, in lower case."""
        _, _, what = self.subject.partition(" ")
        if self.section == "lifetime":  # its subject is a section, a link, an object and which of its moments
            return (self.subject.split()[2],)
        if self.section == "route":  # one of several nexthops has several devices
            what = what.split()[-1]
        if self.section not in _PATHS:
            return (what.lower(), *OF_SECTIONS.get(self.section, ()))
        parts = [part for part in re.split(r"[ /.]", what) if part not in _SAY_NOTHING]
        own = [part for part in parts[-1:] if part not in _MEAN_MUCH]
        spoken = [part.replace(mark, " ") for part in own for mark in "_-" if mark in part]
        return tuple(word.lower() for word in (*own, *spoken, *(w for part in parts for w in OF_PARTS.get(part, ()))))


_PATHS = {"link", "bridge port", "sysctl", "sysfs", "ethtool"}
"""Sections whose subjects are paths; the other subjects are names of objects."""
_SAY_NOTHING = {"", "sysfs", "ipv4", "ipv6", "conf", "neigh", "prog", "linkinfo", "info_data", "attached", "ethtool"}
_MEAN_MUCH = {"address", "id", "name", "no", "state"}
"""Last parts that other troubles have too; what `OF_PARTS` has for them counts."""


def compare(before: Dump, after: Dump) -> list[Difference]:
    """What differs, in the order of sections and subjects, without what is `EXPECTED`."""
    gone, come = before.facts - after.facts, after.facts - before.facts
    subjects = sorted({(fact.section, fact.subject) for fact in (*gone, *come)})
    found = []
    for section, subject in subjects:
        was, now = (_texts(side, section, subject) for side in (gone, come))
        found.append(Difference(section=section, subject=subject, was=was, now=now))
    for key in sorted(before.moments.keys() | after.moments.keys()):
        ends = [side.moments.get(key) for side in (before, after)]
        if None in ends or abs(ends[0] - ends[1]) > SLACK_S:  # type: ignore[operator]
            texts = ["never" if end is None else f"{end:.0f} s" for end in ends]
            found.append(Difference(section="lifetime", subject=" ".join(key), was=texts[0], now=texts[1]))
    states = States(
        down=frozenset(
            ifname
            for ifname in _ifnames(before)
            if '"UP"' not in _text(before, ifname, "flags") or "NO-CARRIER" in _text(before, ifname, "flags")
        ),
        without_arp=frozenset(
            ifname
            for ifname in _ifnames(before)
            if "NOARP" in _text(before, ifname, "flags") or _text(before, ifname, "linkinfo.info_kind") == "ifb"
        ),
        joined=frozenset(
            group
            for fact in before.facts
            if fact.section == "address"
            for group in _groups(Difference(section=fact.section, subject=fact.subject, was=None, now=None))
        ),
        over_down=frozenset(ifname for ifname in _ifnames(before) if '"M-DOWN"' in _text(before, ifname, "flags")),
        without_multicast=frozenset(
            ifname for ifname in _ifnames(before) if '"MULTICAST"' not in _text(before, ifname, "flags")
        ),
        secret=frozenset(
            ifname
            for ifname in _ifnames(before)
            if _text(before, ifname, "inet6_addr_gen_mode") in {"random", "stable_secret"}
        ),
        has_passthru=any(_text(before, name, "linkinfo.info_data.mode") == "passthru" for name in _ifnames(before)),
        tiny=frozenset(
            ifname for ifname in _ifnames(before) if int(_text(before, ifname, "mtu") or _IPV4_MTU) < _IPV4_MTU
        ),
        beneath=frozenset(
            fact.text for fact in before.facts if fact.section == "link" and fact.subject.endswith(" link")
        ),
    )
    return [each for each in found if not any(is_so(each, states) for is_so in EXPECTED.values())]


def _texts(side: Iterable[Fact], section: str, subject: str) -> str | None:
    texts = [fact.text for fact in side if (fact.section, fact.subject) == (section, subject)]
    return " + ".join(sorted(texts)) if texts else None


def _ifnames(dump: Dump) -> set[str]:
    return {fact.subject.partition(" ")[0] for fact in dump.facts if fact.section == "link"}


def _text(dump: Dump, ifname: str, what: str) -> str:
    """What is said of a link, by the name of the tool's field."""
    return next((fact.text for fact in dump.facts if (fact.section, fact.subject) == ("link", f"{ifname} {what}")), "")


_IPV4_MTU = 68
_IFF_UP, _IFF_PROMISC, _IFF_ALLMULTI = 0x1, 0x100, 0x200
_SOLICITED = ("33:33:ff:", "ff02::1:ff")
_ALL_HOSTS = ("01:00:5e:00:00:01", "33:33:00:00:00:01", "33:33:00:00:00:02")
"""And all routers, of a link that forwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Links before, by what some differences depend on."""

    down: frozenset[str]
    without_arp: frozenset[str]
    joined: frozenset[str]
    """Groups that the kernel joins for addresses."""
    over_down: frozenset[str]
    """That stand on one that is down."""
    without_multicast: frozenset[str]
    secret: frozenset[str]
    """Whose link-local address is made of a random number or a secret."""
    beneath: frozenset[str]
    """That others stand on."""
    has_passthru: bool
    """Whether there is a macvlan in this mode."""
    tiny: frozenset[str]
    """Whose packets are too small for IPv4, so that the kernel has turned it off."""


# -- what is expected --------------------------------------------------------------------------------------------------


def _is_same_order(difference: Difference, _states: States) -> bool:
    if difference.section != "address order":
        return False
    was, now = json.loads(difference.was or "[]"), json.loads(difference.now or "[]")
    return [each for each in was if each in now] == [each for each in now if each in was]


def _is_qdisc_of_down(difference: Difference, states: States) -> bool:
    ifname, _, what = difference.subject.partition(" ")
    told = {difference.was, difference.now}
    return ifname in states.down and (
        (difference.section == "link" and what == "qdisc" and "noop" in told) or _is_default_qdisc(difference)
    )


def _is_all_nodes_of_down(difference: Difference, states: States) -> bool:
    ifname, _, what = difference.subject.partition(" ")
    is_group = what.startswith((*_ALL_HOSTS, "33:33:ff:")) or (difference.was is None and what in states.joined)
    beneath = states.down | (states.beneath if states.down else frozenset())
    return ifname in beneath and difference.section in {"fdb", "multicast"} and is_group


def _is_depth_of_down(difference: Difference, _states: States) -> bool:
    told = {(difference.was or "").lower(), (difference.now or "").lower()}
    return difference.subject.endswith(" operstate") and told == {"lowerlayerdown", "down"}


def _is_untold_up(difference: Difference, _states: States) -> bool:
    told = {(difference.was or "").lower(), (difference.now or "").lower()}
    return difference.subject.endswith(" operstate") and told == {"unknown", "up"}


def _is_group_without_arp(difference: Difference, states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    is_solicited = what.startswith(_SOLICITED)
    heard = states.without_arp | (states.beneath if states.without_arp else frozenset())
    return _ifname(difference) in heard and difference.section in {"fdb", "multicast"} and is_solicited


def _is_made_of_secret(difference: Difference, states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    is_its_own = what.startswith(("fe80::", *_SOLICITED)) or what == "ipv6/conf/stable_secret"
    is_marked = "stable-privacy" in (difference.was or "") and difference.section == "address"
    is_new = difference.was in {None, "(Input/output error)"} and is_its_own
    return bool(states.secret) and (is_marked or is_new)


def _is_heard_for_another(difference: Difference, states: States) -> bool:
    is_there = None not in {difference.was, difference.now}
    return difference.section == "multicast" and _ifname(difference) in states.beneath and is_there


def _is_linkdown_told_late(difference: Difference, states: States) -> bool:
    if difference.section != "route" or _ifname(difference) not in states.down:
        return False
    was, now = (json.loads(side or "{}") for side in (difference.was, difference.now))
    return was.get("via", {}).get("family") == "inet6" and now == {**was, "flags": [*was["flags"], "linkdown"]}


def _is_ipv4_of_tiny(difference: Difference, states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    is_ipv4 = difference.section == "sysctl" and what.startswith("ipv4/") and difference.was is None
    is_group = difference.section in {"fdb", "multicast"} and what in _ALL_HOSTS
    return _ifname(difference) in states.tiny and (is_ipv4 or is_group)


def _is_flushed_without_carrier(difference: Difference, states: States) -> bool:
    if difference.section != "neighbour" or _ifname(difference) not in states.down or difference.now is not None:
        return False
    return '"NOARP"' in (difference.was or "") or '"extern_learn"' in (difference.was or "")


def _is_made_at_carrier(difference: Difference, states: States) -> bool:
    what, told = difference.subject.partition(" ")[2], difference.now or difference.was or ""
    if _ifname(difference) not in states.down:
        return False
    if difference.section == "route" and what == "ff00::/8":
        return None in {difference.was, difference.now} and '"protocol": "kernel"' in told
    is_kernels = '"kernel_ll"' in told or '"protocol": "kernel"' in told or what.startswith(_SOLICITED)
    is_own = difference.section in {"address", "route", "multicast", "fdb"}
    return difference.was is None and is_own and is_kernels and what.startswith(("fe80::", *_SOLICITED))


def _is_route_of_lifetime(difference: Difference, _states: States) -> bool:
    if difference.section == "lifetime":
        return difference.subject.startswith("route ") and difference.was == "never"
    told = json.loads(difference.now or "{}") if difference.section == "route" and difference.was is None else {}
    return (told.get("protocol"), told.get("family"), told.get("metric")) == ("kernel", "-6", 256) and "/" in told[
        "dst"
    ]


def _is_group_without_multicast(difference: Difference, states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    is_group = what in {"ff01::2", "ff02::2", "ff05::2"} or what.startswith(("33:33:00:00:00:02", *_SOLICITED))
    return _ifname(difference) in states.without_multicast and difference.section in {"fdb", "multicast"} and is_group


def _is_quantum_of_default(difference: Difference, _states: States) -> bool:
    if difference.section != "qdisc" or None in {difference.was, difference.now}:
        return False
    sides = [[json.loads(each) for each in (side or "").split(" + ")] for side in (difference.was, difference.now)]
    for qdisc in (*sides[0], *sides[1]):
        if qdisc.get("handle") != "0:":
            return False
        qdisc.get("options", {}).pop("quantum", None)
    return sides[0] == sides[1]


def _is_group_of_forwarding(difference: Difference, _states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    if difference.section != "multicast" or what not in {"ff01::2", "ff05::2", "33:33:00:00:00:02"}:
        return False
    return what != "33:33:00:00:00:02" or None not in {difference.was, difference.now}


def _is_promisc_of_down(difference: Difference, states: States) -> bool:
    if not difference.subject.endswith(" sysfs flags") or None in {difference.was, difference.now}:
        return False
    was, now = (int(side or "0", base=16) for side in (difference.was, difference.now))
    return _ifname(difference) in states.down and was ^ now == _IFF_PROMISC and not was & _IFF_UP


def _is_carrier_over_down(difference: Difference, states: States) -> bool:
    what = difference.subject.partition(" ")[2]
    if _ifname(difference) not in states.over_down or None in {difference.was, difference.now}:
        return False
    if difference.section in {"link", "sysfs"} and what in {"operstate", "sysfs operstate", "sysfs carrier"}:
        return True
    if difference.section == "link" and what == "flags":
        was, now = (json.loads(side or "[]") for side in (difference.was, difference.now))
        return {*was} ^ {*now} <= {"NO-CARRIER", "LOWER_UP"}
    if difference.section != "route":
        return False
    was, now = (json.loads(side or "{}") for side in (difference.was, difference.now))
    is_same = {**was, "flags": []} == {**now, "flags": []}
    return is_same and {*was["flags"]} ^ {*now["flags"]} == {"linkdown"}


def _is_left_by_passthru(difference: Difference, states: States) -> bool:
    if not difference.subject.endswith(" sysfs flags") or None in {difference.was, difference.now}:
        return False
    was, now = (int(side or "0", base=16) for side in (difference.was, difference.now))
    return states.has_passthru and _ifname(difference) in states.beneath and now == was | _IFF_ALLMULTI


EXPECTED: dict[str, Callable[[Difference, States], bool]] = {
    "the order of addresses is that of those which are there": _is_same_order,
    "the kernel makes the default qdisc when a link is first up; while it is down nothing is queued": _is_qdisc_of_down,
    "a link leaves its groups when it goes down, and joins them in a new netns": _is_all_nodes_of_down,
    "both say that the link beneath or beyond is down": _is_depth_of_down,
    "without ARP a link does not join the groups by which its addresses are asked for": _is_group_without_arp,
    "of a random number or a secret the kernel makes a further link-local address": _is_made_of_secret,
    "what a link hears for those on top of it is entered as if an administrator had": _is_heard_for_another,
    "an IPv4 route via IPv6 is marked when a link without a carrier next changes": _is_linkdown_told_late,
    "the kernel drops what is not permanent when a link without a carrier next changes": _is_flushed_without_carrier,
    "the kernel makes a link-local address, and the route of groups, when a carrier first comes": _is_made_at_carrier,
    "an address with a lifetime has no route if it was added while down; it comes back while up": _is_route_of_lifetime,
    "a link without multicast stays in groups that it joined when it had it": _is_group_without_multicast,
    "the quantum of a default qdisc is of the MTU that the link had when it was last set up": _is_quantum_of_default,
    "a link joins the groups of routers of wider scopes only when forwarding is turned on": _is_group_of_forwarding,
    "for a further MAC address a link hears all packets from when it is first up": _is_promisc_of_down,
    "the kernel takes the carrier of what stands on a link that is down when that next changes": _is_carrier_over_down,
    "a macvlan of mode passthru that leaves its netns as a port has its lower link hear more ever after": (
        _is_left_by_passthru
    ),
    "a link too small for IPv4 has IPv4 again in a new netns, and not a group of all hosts": _is_ipv4_of_tiny,
    "a link is of unknown state until its carrier first changes; nothing sets that again": _is_untold_up,
}
"""What differs although all is as before, by the reason."""


# -- what is told --------------------------------------------------------------------------------------------------


def unnamed(differences: Iterable[Difference], troubles: Iterable[str]) -> list[Difference]:
    """The differences that no trouble of the claim names, the mark of the claim and what follows from others aside.

    That an interface cannot be found names all of them: whether that may be, the round decides.
    """
    told = "\n".join(troubles).lower()
    if "cannot be found" in told:
        return []
    named: list[Difference] = []
    left: list[Difference] = []
    for each in differences:
        (named if _is_told(each, told) or _is_mark(each, told) else left).append(each)
    masters = set(re.findall(r"its place in (\S+)", told))
    groups = {group for each in named for group in _groups(each)}
    qdiscs = {_ifname(each) for each in named if each.section == "qdisc"}
    return [
        each
        for each in left
        if not (
            each.subject.partition(" ")[2] in groups
            or (_is_default_qdisc(each) and _ifname(each) in qdiscs)
            or (masters and (_ifname(each) in masters or _is_of_port(each)))
        )
    ]


def _ifname(difference: Difference) -> str:
    return difference.subject.partition(" ")[0]


def _is_of_port(difference: Difference) -> bool:
    """Whether it is something that only the port of a bridge has, or that a bridge makes of its port."""
    what = difference.subject.partition(" ")[2]
    return difference.section in {"bridge port", "fdb", "mdb", "vlan"} or what in {
        *("allmulti", "promiscuity", "sysfs flags"),
        *("linkinfo.info_slave_kind", "master"),
    }


def _is_default_qdisc(difference: Difference) -> bool:
    """Whether it is what the kernel makes where there is no other qdisc, or where there was none."""
    return difference.section == "qdisc" and '"handle": "0:"' in (difference.was or difference.now or "")


def _is_told(difference: Difference, told: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", told) for word in difference.words)


def _is_mark(difference: Difference, told: str) -> bool:
    """Whether a difference is only the mark, which stays while a claim does."""
    if difference.section != "link" or not difference.subject.endswith(" altnames") or not told:
        return False
    was, now = (set(json.loads(side or "[]")) for side in (difference.was, difference.now))
    return all(name.startswith("nri-netdev-") for name in was ^ now)


def _groups(difference: Difference) -> Iterator[str]:
    """The multicast groups that the kernel joins for an address."""
    if difference.section != "address":
        return
    address = ipaddress.ip_address(difference.subject.partition(" ")[2])
    packed = address.packed
    if address.version == 4 and address.is_multicast:
        yield from (str(address), f"01:00:5e:{packed[1] & 127:02x}:{packed[2]:02x}:{packed[3]:02x}")
    if address.version == 6:
        yield f"33:33:ff:{packed[13]:02x}:{packed[14]:02x}:{packed[15]:02x}"
        yield str(ipaddress.IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + packed[13:]))
