"""Random setups as their author writes them, for the tests of what reads and shows them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]

_WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789.-_", min_size=1, max_size=12)
NAMES = _WORDS.map(lambda text: f"x{text}")
_BOOLEANS = st.booleans()
_U32 = st.integers(0, 0xFFFFFFFF)
_MACS = st.lists(st.integers(0, 255), min_size=5, max_size=5).map(
    lambda some: ":".join(f"{one:02X}" for one in (2, *some))
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """A mapping with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _hosts(version: int) -> st.SearchStrategy[str]:
    """Addresses of hosts, in networks that documentation has for that."""
    if version == 4:
        return st.integers(1, 254).map(lambda n: f"192.0.2.{n}")
    return st.integers(1, 0xFFFF).map(lambda n: f"2001:DB8::{n:x}")


def _addresses(version: int) -> st.SearchStrategy[Any]:
    length = st.integers(8, 32 if version == 4 else 128)
    text = st.tuples(_hosts(version), length).map(lambda pair: f"{pair[0]}/{pair[1]}")
    more = some(scope=st.sampled_from(["global", "link"]), metric=_U32, peer=_hosts(version), noprefixroute=_BOOLEANS)
    own = some(dad=st.sampled_from(["optimistic", "off", "wait"])) if version == 6 else st.just({})
    return text | st.tuples(text, more, own).map(lambda of: {"address": of[0], **of[1], **of[2]})


def _networks(version: int) -> st.SearchStrategy[str]:
    return st.integers(0, 255).map(lambda n: f"198.51.{n}.0/24" if version == 4 else f"2001:db8:{n:x}::/48")


def _routes(version: int) -> st.SearchStrategy[Document]:
    other = st.integers(1, 254).map(lambda n: f"203.0.113.{n}" if version == 4 else f"2001:db8:ff::{n:x}")
    gateway = st.fixed_dictionaries({"via": other, "onlink": st.just(True)}) | st.just({})
    own = st.fixed_dictionaries({"to": _networks(version)}, optional={"metric": _U32, "mtu": st.integers(68, 65535)})
    return st.tuples(own, gateway).map(lambda of: {**of[0], **of[1]})


def _both(of: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([4, 6]).flatmap(of)


def _host_of(address: Any) -> str:
    text = address["address"] if isinstance(address, dict) else address
    return str(text).partition("/")[0]


_ADDRESSES = st.lists(_both(_addresses), max_size=4, unique_by=_host_of)
_RULES = st.fixed_dictionaries(
    {"from": _both(_networks), "table": st.integers(1, 252)},
    optional={"priority": st.integers(1, 32765), "fwmark": st.just("0x10"), "iif": NAMES},
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "addresses": _ADDRESSES,
    "routes": st.lists(_both(_routes), max_size=4, unique_by=lambda one: str(one["to"])),
    "neighbors": st.lists(
        st.fixed_dictionaries({"dst": _both(_hosts), "lladdr": _MACS}),
        max_size=3,
        unique_by=lambda one: str(one["dst"]),
    ),
    "mtu": st.integers(1280, 1500),
    "txqueuelen": _U32,
    "promisc": _BOOLEANS,
    "allmulti": _BOOLEANS,
    "arp": _BOOLEANS,
    "up": st.just(True),
    "gso_max_size": st.integers(1, 0xFFFFFFFF),
    "gro_max_size": st.integers(1, 0xFFFFFFFF),
    "sysctls": st.dictionaries(
        st.sampled_from(["ipv4.rp_filter", "ipv6.accept_ra", "ipv4.neigh.gc_stale_time"]), st.integers(-1, 99)
    ),
}
_CHILD = some(**COMMON).map(lambda fields: {**fields, "mtu": 1280})
_VLANS = st.lists(st.tuples(st.integers(1, 4094), _CHILD), min_size=1, max_size=3, unique_by=lambda pair: pair[0]).map(
    lambda pairs: [{**fields, "id": number, "name": f"v{number}"} for number, fields in pairs]
)
OWN: dict[str, st.SearchStrategy[Any]] = {
    "set_mac": _MACS,
    "detach_bpf": _BOOLEANS,
    "rdma": _BOOLEANS,
    "rules": st.lists(_RULES, max_size=3, unique_by=lambda one: str(sorted(one.items()))),
    "ethtool": some(
        features=st.dictionaries(NAMES, _BOOLEANS, max_size=3),
        rings=some(rx=st.integers(0, 4096), tx=st.integers(0, 4096)),
        channels=some(combined=st.integers(0, 64)),
        coalesce=some(**{"rx-usecs": _U32, "adaptive-rx": _BOOLEANS}),
        private_flags=st.dictionaries(NAMES, _BOOLEANS, max_size=2),
    ),
    "vrf": st.fixed_dictionaries({"name": st.just("red"), "table": st.integers(1, 252)}),
    "vlan": _VLANS | _VLANS.map(lambda vlans: vlans[0]),
    "macvlan": _CHILD.map(lambda fields: {**fields, "name": "m0", "mode": "vepa"}),
    "vf": some(spoofchk=_BOOLEANS, trust=_BOOLEANS, vlan=st.integers(0, 4095), max_tx_rate=st.integers(0, 1_000_000)),
    "ipam": NAMES.map(lambda text: text.replace(".", "-").replace("_", "-").rstrip("-"))
    | st.sampled_from([{"type": "dhcp"}, {"type": "host-local", "subnet": "192.0.2.0/24"}]),
}
ENTRIES = some(**COMMON, **OWN)
"""Of an interface that moves into the pod."""
SHARES = st.tuples(some(**COMMON), st.sampled_from(["macvlan", {"type": "ipvlan", "mode": "l3"}])).map(
    lambda of: {**of[0], "share": of[1]}
)
"""Of a device on an interface that stays on the host."""
SETUPS = ENTRIES | SHARES
