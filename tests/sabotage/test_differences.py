"""Two dumps are compared, and differences found in the words of a claim."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sabotage.differences import Difference, compare, unnamed
from tests.sabotage.dumps import Dump


def dump(*facts: tuple[str, str, Any]) -> Dump:
    made = Dump()
    for section, subject, value in facts:
        if isinstance(value, dict):
            made.record(section, subject, value)
        else:
            made.add(section, subject, value)
    return made


UP = ("link", "dev0 flags", ["UP"])


def test_the_same_is_no_difference() -> None:
    """Counters and numbers of the kernel aside."""
    facts = ("neighbour", "dev0 192.0.2.9", {"lladdr": "02:00:00:00:00:01", "used": 3, "ifindex": 7})
    later = ("neighbour", "dev0 192.0.2.9", {"lladdr": "02:00:00:00:00:01", "used": 4, "ifindex": 8})
    assert compare(dump(facts), dump(later)) == []


def test_what_is_gone_has_come_or_changed() -> None:
    """Each is one difference."""
    before = dump(("link", "dev0 mtu", 1500), ("token", "dev0 token", "::1"))
    after = dump(("link", "dev0 mtu", 1400), ("fdb", "dev0 02:00:00:00:00:01", "self"))
    assert [str(each) for each in compare(before, after)] == [
        "fdb: dev0 02:00:00:00:00:01: (absent) -> self",
        "link: dev0 mtu: 1500 -> 1400",
        "token: dev0 token: ::1 -> (absent)",
    ]


def test_moments_may_be_apart_by_a_little() -> None:
    """Lifetimes run down, at the pace of the clock."""

    def lives(left: int) -> Dump:
        return dump(("address", "dev0 192.0.2.5", {"local": "192.0.2.5", "valid_life_time": left}))

    assert compare(lives(600), lives(598)) == []
    [difference] = compare(lives(600), lives(500))
    assert (difference.section, difference.subject) == ("lifetime", "address dev0 192.0.2.5 valid_life_time")


def test_the_order_of_addresses_counts() -> None:
    """Of those that are there before and after."""

    def order(*addresses: str) -> Dump:
        return dump(("address order", "dev0 address order", [*addresses]))

    assert compare(order("a", "b", "c"), order("a", "c")) == []
    assert len(compare(order("a", "b", "c"), order("c", "a"))) == 1


def test_while_a_link_is_down_its_default_qdisc_does_not_count() -> None:
    """While it is up, it does."""
    was, now = ("link", "dev0 qdisc", "noqueue"), ("link", "dev0 qdisc", "noop")
    down = ("link", "dev0 flags", [])
    assert compare(dump(down, was), dump(down, now)) == []
    assert len(compare(dump(UP, was), dump(UP, now))) == 1


def test_groups_below_one_without_arp_do_not_count() -> None:
    """Those by which its addresses are asked for; others do."""
    below = (
        *(
            ("link", "dev0 flags", ["MULTICAST", "NOARP", "UP"]),
            ("link", "dev0 link", "under0"),
            ("link", "under0 flags", ["MULTICAST", "UP"]),
        ),
    )
    solicited, other = (("multicast", f"under0 {mac}", mac) for mac in ("33:33:ff:00:00:78", "01:00:5e:00:00:63"))
    assert compare(dump(*below, solicited), dump(*below)) == []
    assert len(compare(dump(*below, other), dump(*below))) == 1
    with_arp = (("link", "dev0 flags", ["MULTICAST", "UP"]), *below[1:])
    assert len(compare(dump(*with_arp, solicited), dump(*with_arp))) == 1


def test_without_a_carrier_a_route_through_ipv6_may_be_marked() -> None:
    """Not any other route, nor otherwise."""
    lower = ("link", "dev0 flags", ["NO-CARRIER", "UP"])

    def differ(link: tuple[str, str, Any], family: str, flags: list[str]) -> int:
        route = {"dst": "198.51.108.0/24", "via": {"family": family, "host": "fe80::1"}}
        was, now = (("route", "dev0 198.51.108.0/24", {**route, "flags": each}) for each in ([], flags))
        return len(compare(dump(link, was), dump(link, now)))

    assert differ(lower, "inet6", ["linkdown"]) == 0
    assert [
        differ(UP, "inet6", ["linkdown"]),
        differ(lower, "inet", ["linkdown"]),
        differ(lower, "inet6", ["dead"]),
    ] == [
        1,
        1,
        1,
    ]


def test_a_link_too_small_for_ipv4_may_have_it_again() -> None:
    """Others may not."""
    sysctl = ("sysctl", "dev0 ipv4/conf/tag", "0")
    for mtu, count in ((67, 0), (68, 1)):
        link = ("link", "dev0 mtu", mtu)
        assert len(compare(dump(link), dump(link, sysctl))) == count
        assert len(compare(dump(link, sysctl), dump(link))) == 1


NO_CARRIER = ("link", "dev0 flags", ["NO-CARRIER", "UP"])
LINK_LOCAL = ("address", "dev0 fe80::1", {"local": "fe80::1", "protocol": "kernel_ll"})
OF_GROUPS = ("route", "dev0 ff00::/8", {"dst": "ff00::/8", "protocol": "kernel"})
NOARP = ("neighbour", "dev0 192.0.2.9", {"state": ["NOARP"]})


@pytest.mark.parametrize(
    ("gone", "come"),
    [((), (LINK_LOCAL,)), ((), (OF_GROUPS,)), ((OF_GROUPS,), ()), ((NOARP,), ())],
    ids=["link-local address", "route of groups", "without it", "neighbour"],
)
def test_what_the_kernel_makes_of_a_link_without_a_carrier(gone: tuple[Any, ...], come: tuple[Any, ...]) -> None:
    """It differs with a carrier too, and that counts."""
    assert compare(dump(NO_CARRIER, *gone), dump(NO_CARRIER, *come)) == []
    assert len(compare(dump(UP, *gone), dump(UP, *come))) == 1


def test_what_others_set_on_a_link_without_a_carrier_counts() -> None:
    """Permanent neighbours, addresses that are not the kernel's, a link-local address that is gone."""
    permanent = ("neighbour", "dev0 192.0.2.9", {"state": ["PERMANENT"]})
    own = ("address", "dev0 fe80::2", {"local": "fe80::2"})
    for fact in (permanent, own, LINK_LOCAL):
        assert len(compare(dump(NO_CARRIER, fact), dump(NO_CARRIER))) == 1
    assert len(compare(dump(NO_CARRIER), dump(NO_CARRIER, own))) == 1


def test_a_route_by_several_devices_is_named_by_its_destination() -> None:
    """Whichever devices those are."""
    gone = Difference(section="route", subject="dev0 other0 198.51.103.0/24", was="{}", now=None)
    assert unnamed([gone], ["route 198.51.103.0/24 could not be restored"]) == []
    assert unnamed([gone], ["route 198.51.104.0/24 could not be restored"]) == [gone]


def test_the_kernels_route_of_an_address_with_a_lifetime_may_come() -> None:
    """It may not go, and no other may come."""

    def route(protocol: str) -> tuple[str, str, Any]:
        fields = {"dst": "2001:db8:3::/64", "protocol": protocol, "family": "-6", "metric": 256, "expires": 4000}
        return "route", "dev0 2001:db8:3::/64", fields

    assert compare(dump(UP), dump(UP, route("kernel"))) == []
    assert compare(dump(UP, route("kernel")), dump(UP)) != []
    assert len(compare(dump(UP), dump(UP, route("boot")))) == 1


@pytest.mark.parametrize("group", ["ff02::2", "ff02::1:ff00:5"])
def test_groups_of_routers_and_addresses_count_where_there_is_multicast(group: str) -> None:
    """Whether it is up or down."""
    joined = ("multicast", f"dev0 {group}", group)
    for flags, count in (([], 0), (["MULTICAST"], 1)):
        link = ("link", "dev0 flags", flags)
        assert len(compare(dump(link, joined), dump(link))) == count


def test_what_a_link_that_is_down_hears_for_others_does_not_count() -> None:
    """Of one that is up it does; so does any other flag, and what an administrator has set."""

    def differ(was: str, now: str, link: tuple[str, str, Any]) -> int:
        befores, afters = (dump(link, ("sysfs", "dev0 sysfs flags", each)) for each in (was, now))
        return len(compare(befores, afters))

    down = ("link", "dev0 flags", [])
    assert [differ("0x102", "0x2", down), differ("0x103", "0x3", UP), differ("0x202", "0x2", down)] == [0, 1, 1]
    assert len(compare(dump(("link", "dev0 flags", ["PROMISC"])), dump(down))) == 1


def test_the_carrier_over_a_link_that_is_down_does_not_count() -> None:
    """Nothing comes or goes there; whether it is up counts."""
    route = {"dst": "fe80::/64", "protocol": "kernel"}
    was = ["UP", "LOWER_UP"], "UP", {**route, "flags": []}
    now = ["UP", "NO-CARRIER"], "DOWN", {**route, "flags": ["linkdown"]}

    def differ(flags: list[str], *after: Any) -> int:
        def told(link: list[str], state: str, path: Any) -> Dump:
            link_flags = ("link", "child0 flags", [*link, *flags])
            return dump(link_flags, ("link", "child0 operstate", state), ("route", "child0 fe80::/64", path))

        return len(compare(told(*was), told(*after)))

    assert differ(["M-DOWN"], *now) == 0
    assert differ([], *now) == 3
    assert differ(["M-DOWN"], ["LOWER_UP"], "UP", {**route, "flags": ["dead"]}) == 2


def test_a_link_that_is_down_may_have_joined_the_group_of_its_address() -> None:
    """It may not join others, nor leave it."""
    down, address = ("link", "dev0 flags", []), ("address", "dev0 239.5.5.5", {"local": "239.5.5.5"})
    its, other = (("fdb", f"dev0 {mac}", mac) for mac in ("01:00:5e:05:05:05", "01:00:5e:05:05:06"))
    assert compare(dump(down, address), dump(down, address, its)) == []
    assert len(compare(dump(down, address), dump(down, address, other))) == 1
    assert len(compare(dump(down, address, its), dump(down, address))) == 1
    assert len(compare(dump(UP, address), dump(UP, address, its))) == 1


def test_what_a_macvlan_in_mode_passthru_leaves_does_not_count() -> None:
    """Of another mode, or any other flag, it does."""

    def differ(mode: str, now: str) -> int:
        links = ("link", "dev0 linkinfo.info_data.mode", mode), ("link", "dev0 link", "under0")
        befores, afters = (dump(*links, ("sysfs", "under0 sysfs flags", each)) for each in ("0x1103", now))
        return len(compare(befores, afters))

    assert [differ("passthru", "0x1303"), differ("bridge", "0x1303"), differ("passthru", "0x1003")] == [0, 1, 1]


def test_what_cannot_be_found_is_named() -> None:
    """Whatever it was."""
    gone = Difference(section="link", subject="dev0 mtu", was="1500", now=None)
    assert unnamed([gone], ["dev0 cannot be found: it died with its netns"]) == []
    assert unnamed([gone], []) == [gone]


@pytest.mark.parametrize(
    ("section", "subject", "trouble", "is_named"),
    [
        ("route", "dev0 198.51.100.0/24", "route 198.51.100.0/24 via 192.0.2.1 could not be restored", True),
        ("route", "dev0 198.51.100.0/24", "route 198.51.101.0/24 via 192.0.2.1 could not be restored", False),
        ("route", "dev0 default", "route default via 192.0.2.1 table 101 could not be restored", True),
        ("address", "dev0 192.0.2.5", "address 192.0.2.5/24 could not be restored", True),
        ("address", "dev0 192.0.2.5", "address 192.0.2.55/24 could not be restored", False),
        ("link", "dev0 address", "address 192.0.2.5/24 could not be restored", False),
        ("link", "dev0 address", "its MAC address could not be restored", True),
        ("link", "dev0 txqlen", "its queue length could not be restored", True),
        ("link", "dev0 xdp.prog.id", "its XDP program could not be restored", True),
        ("link", "dev0 linkinfo.info_data.mode", "its addr_gen_mode could not be restored", False),
        ("sysctl", "dev0 ipv4/conf/rp_filter", "sysctl ipv4/conf/rp_filter could not be restored", True),
        ("sysctl", "dev0 ipv4/conf/rp_filter", "sysctl ipv4/conf/arp_filter could not be restored", False),
        ("ethtool", "dev0 ethtool -k tx-tcp-segmentation", "feature tx-tcp-segmentation could not be restored", True),
        ("filter", "dev0 filter ingress", "traffic filters (tc filter) could not be restored", True),
        ("qdisc", "dev0 tbf", "qdisc tbf 10: could not be restored", True),
        ("qdisc", "dev0 tbf", "qdisc htb 1: could not be restored", False),
    ],
)
def test_a_trouble_names_a_difference_by_its_word(section: str, subject: str, trouble: str, is_named: bool) -> None:
    """By a whole word, not by a part of one."""
    difference = Difference(section=section, subject=subject, was="a", now="b")
    assert (unnamed([difference], [trouble]) == []) is is_named


def test_what_follows_from_what_is_told_need_not_be_told() -> None:
    """The groups of an address; the mark."""
    address = Difference(section="address", subject="dev0 2001:db8::5", was="{}", now=None)
    group = Difference(section="multicast", subject="dev0 33:33:ff:00:00:05", was="{}", now=None)
    mark = Difference(section="link", subject="dev0 altnames", was=None, now='["nri-netdev-00"]')
    told = ["address 2001:db8::5/64 could not be restored"]
    assert unnamed([address, group, mark], told) == []
    assert unnamed([group, mark], []) == [group, mark]
    assert unnamed([group], ["its alias could not be restored"]) == [group]
