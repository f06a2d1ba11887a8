"""What annotations ask for: the entries that are read of good ones, and the exact words on bad ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

# Everything internal that this file knows.
from nri_netdev.domain.annotations.request import parse
from nri_netdev.domain.problem import summary
from tests.golden.store import as_json, plain, stored

OWN = "nri-netdev.io/container.app"
POD = "nri-netdev.io/pod"
SHORT = "nri-netdev.io"
DEVICE = "network-devices.nri.io"
NETWORK = "netdevices.nri.containerd.io"

_NATIVE = (
    # good
    "[]",
    "- ens2f0",
    "[ens2f0, ens2f1]",
    '["ens2f0", {"interface": "ens2f1", "name": "net1"}]',
    "- {name: b, interface: a}\n- {name: a, interface: b}",
    "- no\n- 0123\n- 1e3\n- 'null'",
    "--- # one document\n- ens2f0\n...\n",
    "[ens2f*, 'eth?']",
    "- {interface: 'ens*', driver: ice, count: 2, name: 'net{n}'}",
    "- {pool: fast}",
    "- {pool: fast, count: 3, name: '{pool}{n}'}",
    "- {pool: fast, interface: ens2f0}",
    "- {altname: enp1s0f0, mac: '02:00:5E:10:00:01', pci: '3b:00.0', device: '15B3:*', driver: ice, kind: hardware}",
    "- {numa_node: 0, min_speed_mbps: 25000, state: up, vf_of: ens1f0, kind: veth}",
    "- {vf_of: '0000:3B:00.0', state: down}",
    "- {pool: a, count: 64, name: 'x{n}'}",
    '- "\\u0061"',
    "- >-\n  ens1\n- |-\n  ens2\n",
    "- 'a''b'",
    "- ens2f0 # that one\n",
    "- eth0.100\n- a@b\n- 'x{y'\n",
    # bad entries and fields
    "- interface: ens2f0\n- interface: ens2f1\n  nmae: net1\n",
    "- hostIf: ens2f0\n",
    "- {interface: a, new_name: b, address: c}",
    "- {interface: a, Name: b}",
    "- {interface: a, zzz: b, '\\e[2J': c}",
    "- interface: a\n  addresses: [192.0.2.1/24]\n  mtu: 9000\n  routes: []\n",
    "- {pool: fast, count: 0}",
    "- {pool: fast, count: 65}",
    "- {pool: fast, count: 02}",
    "- {pool: fast, count: two}",
    "- {pool: fast, count: [2]}",
    "- {pool: fast, count: }",
    "- {interface: a, count: 2}",
    "- {pool: fast, count: 2, name: net}",
    '- {interface: a, name: "{pool}0"}',
    '- {pool: fast, name: "net{x}"}',
    '- {pool: fast, name: "net{n"}',
    '- {pool: very-fast-pool, name: "{pool}-{n}"}',
    "- {pool: 'a/b'}",
    "- {pool: ''}",
    "- count: 2",
    "- name: net1",
    "- {}",
    "- {mac: x, pci: y, numa_node: 01, state: UP}",
    "- {device: x, driver: a b, min_speed_mbps: -1, vf_of: '*', kind: '', altname: 'a/b'}",
    "- {vf_of: ens*, numa_node: 1024, min_speed_mbps: 1.5}",
    "[{pool: a, count: 60}, {pool: b, count: 5}]",
    "- interface: [a]",
    "- interface:\n",
    "- interface: a\n  name: {b: c}\n",
    "- interface: a\n  name: ''\n",
    "- interface: a b\n  name: net%d\n",
    "- a\n- \n",
    "- [a]",
    "- a\n- b\n- a\n",
    "- {interface: a, name: n}\n- {interface: b, name: n}\n",
    "- {interface: a, name: b}\n- b\n",
    "- ens2f0\n- nmae: x\n- [a]\n- interface: a/b\n- ens2f0\n",
    # names
    "['', ., .., all, default, -x, a:b, a/b, '%d']",
    "- abcdefghijklmnop",
    "- größe",
    '- "a\\0"\n- "a\\tb"\n- "a\\u00a0b"\n- "a\\x7f"',
    '- "a\\u202eb"\n- "\\U0001F600"',
    '- {interface: a, name: "{n}{n}{n}{n}{n}{n}{n}"}',
    # documents
    "",
    "  \n\n",
    "# only a comment\n",
    "null",
    "~",
    "ens2f0",
    "interface: a",
    "ens2f0, ens2f1",
    "- a\n- b: [",
    "- interface: a\n  interface: b\n",
    "- a\n- b\0\n",
    "\x1b[2J",
    "\udc80",
    "\ufeff- a",
    "- &a [*a]",
    "- a\n- *x\n",
    "- a: &x b\n  <<: *x\n",
    "!!python/object:os.system [a]",
    "- a\n- !mine b",
    "- !!str a",
    "- !!map a",
    "- {[a]: b}",
    "- {? {a: b} : c}",
    "- a\n---\n- b\n",
    "\t- a",
    "- a\r\n- b\r\n",
    "[" * 9 + "]" * 9,
    "- %x\n- @\n",
    "%YAML 9.9\n---\n- a\n",
    "- x\n" * 65,
    "- x\n" * 5000,
    "- a\n" * 66_000,
    "é" * (140 * 1024),
    "- {" + ", ".join(f"f{n}: x" for n in range(70)) + "}",
    "\n".join(f"- {{interface: ens{n}, nmae: a}}" for n in range(12)),
    f"- {{interface: {'y' * 200}, {'z' * 200}: a}}",
    # copied from what `ip` prints
    "- ens9:",
    "- intrface:",
    "- 2: ens9: <BROADCAST,UP> mtu 1500 qdisc mq",
    "- interface: ens9:",
    "['ens9:', 'ens9@if7:', '2: ens9', '2: ens9@if7: <BROADCAST,UP> mtu 1500', 'ens9 UP 02:00:5e:10:00:01', 'ens9:1']",
    "['02:00:5e:10:00:01', '0000:3b:00.0', '192.0.2.1/24', altname enp3s0, /sys/class/net/ens9, dev ens9]",
    "- {interface: ens9, name: 'net1@if7:'}",
    # what is set
    "- {interface: a, addresses: [192.0.2.10/24, {address: '2001:DB8::10/64', dad: wait}], mtu: 9000}",
    "- {interface: a, addresses: [192.0.2.10/24], routes: [{to: default, via: 192.0.2.1}, {to: '::/0', metric: 5}]}",
    "- {interface: a, set_mac: 02:00:5E:10:00:01, up: false, arp: true, sysctls: {ipv4.rp_filter: 2}}",
    "- {interface: a, rules: [{from: 192.0.2.10, table: 9}], neighbors: [{dst: 192.0.2.1, lladdr: 02:00:5E:10:00:02}]}",
    "- {interface: a, ethtool: {features: {rx-gro: false}, coalesce: {adaptive-rx: true}}, vf: {vlan: 5, trust: true}}",
    "- {interface: a, vrf: {name: red, table: 100}, vlan: {id: 5, name: a.5}, macvlan: [{name: m0}, {name: m1}]}",
    "- {interface: a, share: ipvlan, ipam: storage, keep_addresses: true}",
    "- {interface: a, share: {type: macvlan, mode: vepa}, ipam: {type: host-local, subnet: 192.0.2.0/24}}",
    "- {interface: a, addresses: 192.0.2.1/24, routes: [x, {}, {to: 192.0.2.1/9}], mtu: 6, set_mac: 01:00:5e:00:00:01}",
    "- {interface: a, addresses: [192.0.2.1, 127.0.0.1/8, 224.0.0.1/4, 'fe80::1%a/64', '0.0.0.0/0', x, {}]}",
    "- {interface: a, routes: [{to: default}, {to: 192.0.2.0/24, via: 192.0.2.1/24, table: local, metric: -1}]}",
    "- {interface: a, rules: [{table: 0}, {table: x, fwmark: 010}, {table: 5}, {table: 5, family: inet}]}",
    "- {interface: a, sysctls: {net.ipv4.forwarding: 1, ipv6.mtu: 9, ipv4.forwarding: ';'}, ethtool: {rings: {x: 1}}}",
    "- {interface: a, vlan: [{id: 0}, {id: 5, name: a/b, rules: []}], ipvlan: [], share: {type: ipvlan, mode: vepa}}",
    "- {interface: a, ipam: [x]}\n- {interface: b, ipam: {type: bridge}}\n- {interface: c, ipam: {range: 192.0.2.0}}",
    "- {interface: a, ipam: {type: host-local, dataDir: /etc}}\n- {interface: b, ipam: {type: static, addresses: []}}",
    "- {interface: a, addresses: [192.0.2.1/24], routes: [{to: default, via: 192.0.3.1}], share: macvlan, rdma: true}",
    "- {pool: fast, count: 2, name: 'x{n}', addresses: [192.0.2.1/24], vf: {mac: 02:00:5e:10:00:01}}",
    "- {interface: a, addres: [], route: [], mut: 9000, mac_address: x, vlans: [], neighbours: []}",
    "- {interface: a, rdma: yes}\n- {interface: b, rdma: [true]}\n- {interface: c, promisc: }",
    f"- {{interface: a, addresses: [{', '.join(['192.0.2.1/24'] * 33)}]}}",
)
_DEVICE_INJECTOR = (
    "- hostIf: ens2f0",
    "- hostif: ens2f0\n  NAME: net1\n",
    "- {HostIf: ens2f0, Name: net1, comment: [x], mtu: 9}",
    '[{"hostIf": "ens2f0", "name": ""}]',
    "- hostIf: ens2f0\n  name:\n",
    "- hostIf: 0",
    "",
    "null",
    "[]",
    "- hostIf: a\n  name: 'net{n}'\n",
    "- name: net1",
    "- hostIf: ''",
    "- ens2f0",
    "-",
    "- hostIf: [a]",
    "- hostIf: {}",
    "- hostif: a:1",
    "- hostIf: ens*",
    "- hostIf: a\n  hostif: b\n",
    "- {" + ", ".join(f"f{n}: x" for n in range(40)) + "}",
    "hostIf: a",
    "- hostIf: a\n- hostIf: a\n",
    "- {hostIf: a, name: all}",
)
_NETWORK_DEVICE_INJECTOR = (
    "- name: ens2f0\n  new_name: eth1\n",
    "- {name: ens2f0, mtu: 0, prefix: 0, address: ''}",
    "- {name: ens2f0, New_Name: ens2f0, other: 1}",
    "- {name: ens2f0, mtu: null}",
    "- {name: ens2f0, address: 192.0.2.2, prefix: 24, mtu: 9000}",
    "- {name: ens2f0, mtu: '0'}",
    "- {name: ens2f0, mtu: 0x0}",
    "- new_name: a",
    "- name: a b",
    "- {name: a, NAME: b}",
    "- a",
    "{}",
    "- name: 'ens9:'",
    "- name: 0000:3b:00.0",
)
_TOGETHER: Mapping[str, tuple[dict[str, str], str]] = {
    "container and pod": ({OWN: "[a]", POD: "[b]", "nri-netdev.io/container.other": "not read"}, "app"),
    "another container": ({OWN: "[a]", POD: "[b]"}, "sidecar"),
    "the short spelling": ({SHORT: "[b]"}, "app"),
    "both spellings": ({POD: "[a]", SHORT: "[b]"}, "app"),
    "no name": ({"nri-netdev.io/container.": "[a]", f"{DEVICE}/container.": "[b]", POD: "[c]"}, ""),
    "slips in keys": ({"nri-netdev.io/containers.app": "", "nri-netdev.io/Pod": "", "nri-netdev.io/zz": ""}, "app"),
    "a strange key": ({"nri-netdev.io/\x1b[2J": "[a]"}, "app"),
    "twice in two annotations": (
        {OWN: "[a, {interface: b, name: n}]", POD: "[a, {interface: c, name: n}]"},
        "app",
    ),
    "too many in two": ({key: "\n".join(f"- {key[14]}{n}" for n in range(40)) for key in (OWN, POD)}, "app"),
    "problems in two": ({OWN: "- [a]", POD: "{}"}, "app"),
    "two plugins' keys": ({f"{DEVICE}/pod": "- hostIf: a", NETWORK: "- name: b"}, "app"),
    "two plugins' keys, one interface": ({f"{DEVICE}/pod": "- hostIf: a", NETWORK: "- name: a"}, "app"),
    "native and foreign, one scope": ({POD: "[a]", DEVICE: "- hostIf: b"}, "app"),
    "native and foreign, one container": ({OWN: "[a]", f"{DEVICE}/container.app": "- hostIf: b"}, "app"),
    "native and foreign, two scopes": ({OWN: "[a]", NETWORK: "- name: b"}, "app"),
    "the first key wins": ({f"{DEVICE}/pod": "- hostIf: a", DEVICE: "not read: ["}, "app"),
    "others' annotations": ({"k8s.io/x": "[", "nri-netdev.iox": "["}, "app"),
    "none": ({}, "app"),
}

CASES: dict[str, tuple[dict[str, str], str]] = {
    **{f"native {number}": ({OWN: value}, "app") for number, value in enumerate(_NATIVE)},
    **{f"device-injector {number}": ({DEVICE: value}, "app") for number, value in enumerate(_DEVICE_INJECTOR)},
    **{
        f"network-device-injector {number}": ({NETWORK: value}, "app")
        for number, value in enumerate(_NETWORK_DEVICE_INJECTOR)
    },
    **{f"together: {name}": case for name, case in _TOGETHER.items()},
}
"""Annotations of a pod, and the container that they are read for."""

_SHOWN_CHARS = 400


def read(name: str) -> dict[str, object]:
    """What comes of a case: its entries, or every problem and the one line that reaches the engine."""
    annotations, container = CASES[name]
    parsed = parse(annotations, container=container)
    shown = {key: value for key, value in annotations.items() if len(value) <= _SHOWN_CHARS}
    asked: dict[str, object] = {
        "annotations": {key: ascii(value) for key, value in shown.items()},
        "container": container,
    }
    if parsed.problems:
        return asked | {"problems": [str(one) for one in parsed.problems], "told": summary(parsed.problems)}
    return asked | {"entries": [plain(entry) for entry in parsed.entries]}


def test_cases() -> None:
    """The stored cases are those of this file."""
    assert list(stored("annotations")) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_annotations(name: str) -> None:
    """An annotation gives the stored entries, or is refused in the stored words."""
    assert as_json(read(name)) == stored("annotations")[name]
