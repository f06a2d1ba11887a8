"""What a pod asks, read in full or refused in full, in words that its author can act on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.grammars import GRAMMARS, Grammar, GrammarSpec
from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.problem import summary
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.text.names import why_invalid
from nri_netdev.domain.text.shape import ListOf, Member, Record, UnfitError, like
from tests.domain.work import calls_of

OWN = "nri-netdev.io/container.app"
POD = "nri-netdev.io/pod"
SHORT = "nri-netdev.io"
DEVICE_INJECTOR = (
    "network-devices.noderesource.dev/container.app",
    "network-devices.nri.io/container.app",
    "network-devices.noderesource.dev/pod",
    "network-devices.nri.io/pod",
    "network-devices.noderesource.dev",
    "network-devices.nri.io",
)
NETWORK_DEVICE_INJECTOR = (
    "netdevice.noderesource.dev/pod",
    "netdevices.noderesource.dev/pod",
    "netdevices.nri.containerd.io/pod",
    "netdevice.noderesource.dev",
    "netdevices.noderesource.dev",
    "netdevices.nri.containerd.io",
)
EVERY_KEY = (OWN, POD, SHORT, *DEVICE_INJECTOR, *NETWORK_DEVICE_INJECTOR)


def asked(annotations: Mapping[str, str], container: str = "app") -> list[tuple[str, str]]:
    """Host name and inside name of each entry of a request that has no problems."""
    parsed = parse(annotations, container=container)
    assert not parsed.problems, summary(parsed.problems)
    return [(entry.interface, entry.inside) for entry in parsed.entries]


def told(annotations: Mapping[str, str] | str, container: str = "app") -> list[str]:
    """The problems of a request, as they are told."""
    if isinstance(annotations, str):
        annotations = {OWN: annotations}
    parsed = parse(annotations, container=container)
    assert parsed.entries == ()
    return [str(problem) for problem in parsed.problems]


class TestNative:
    """The grammar of our own."""

    @pytest.mark.parametrize(
        ("value", "entries"),
        [
            ("- ens2f0", [("ens2f0", "ens2f0")]),
            ("[ens2f0, ens2f1]", [("ens2f0", "ens2f0"), ("ens2f1", "ens2f1")]),
            ('["ens2f0", {"interface": "ens2f1", "name": "net1"}]', [("ens2f0", "ens2f0"), ("ens2f1", "net1")]),
            ("- ens2f0\n- interface: ens2f1\n  name: net1\n", [("ens2f0", "ens2f0"), ("ens2f1", "net1")]),
            ("- {name: b, interface: a}\n- {name: a, interface: b}", [("a", "b"), ("b", "a")]),
            ("- no\n- 0123\n- 1e3\n- 'null'", [("no", "no"), ("0123", "0123"), ("1e3", "1e3"), ("null", "null")]),
            ("--- # one document\n- ens2f0\n...\n", [("ens2f0", "ens2f0")]),
            ("[]", []),
        ],
    )
    def test_what_is_asked_is_understood(self, value: str, entries: list[tuple[str, str]]) -> None:
        """Names, mappings, YAML and JSON; in the order written."""
        assert asked({OWN: value}) == entries

    def test_an_entry_tells_where_it_comes_from(self) -> None:
        """So that a later refusal can name annotation and entry."""
        parsed = parse({OWN: "[a, {interface: b, name: c}]"}, container="app")
        assert parsed.entries[1] == Entry(
            interface="b", name="c", key=OWN, number=2, scope=Scope.CONTAINER, grammar=Grammar.NATIVE
        )
        assert parsed.entries[0].name is None
        assert parsed.entries[0].is_short

    @pytest.mark.parametrize("key", [POD, SHORT])
    def test_what_the_pod_asks_comes_with_every_container(self, key: str) -> None:
        """In addition to what a container asks for itself, each with its own scope."""
        annotations = {OWN: "[a]", key: "[b]", "nri-netdev.io/container.other": "not read"}
        parsed = parse(annotations, container="app")
        assert [(entry.interface, entry.scope, entry.key) for entry in parsed.entries] == [
            ("a", Scope.CONTAINER, OWN),
            ("b", Scope.POD, key),
        ]
        assert asked({OWN: "[a]", key: "[b]"}, container="sidecar") == [("b", "b")]

    def test_a_container_without_a_name_gets_only_what_the_pod_asks(self) -> None:
        """CRI-O tells no name where the kubelet set none; nobody else's interfaces are given to it then."""
        annotations = {"nri-netdev.io/container.": "[a]", "network-devices.nri.io/container.": "[b]", POD: "[c]"}
        assert asked(annotations, container="") == [("c", "c")]

    @pytest.mark.parametrize(
        ("value", "problems"),
        [
            (
                "- interface: ens2f0\n- interface: ens2f1\n  nmae: net1\n",
                [f'unknown field "nmae" (did you mean "name"?) (annotation {OWN}, entry 2, field nmae)'],
            ),
            (
                "- hostIf: ens2f0\n",
                [f'unknown field "hostIf" (did you mean "interface"?) (annotation {OWN}, entry 1, field hostIf)'],
            ),
            (
                "- {interface: a, Name: b}",
                [f'unknown field "Name" (did you mean "name"?) (annotation {OWN}, entry 1, field Name)'],
            ),
            (
                "- interface: a\n  addresses: [192.0.2.1]\n  mtu: big\n  vlan: [{id: 0, name: a/b}]\n",
                [
                    (
                        'addresses.1 "192.0.2.1" has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64 '
                        f"(annotation {OWN}, entry 1, field addresses.1)"
                    ),
                    f'mtu "big" is not a whole number from 68 to 65535 (annotation {OWN}, entry 1, field mtu)',
                    f'vlan.1.id "0" is not a whole number from 1 to 4094 (annotation {OWN}, entry 1, field vlan.1.id)',
                    (
                        f'vlan.1.name "a/b" contains "/", which the kernel refuses '
                        f"(annotation {OWN}, entry 1, field vlan.1.name)"
                    ),
                ],
            ),
            (
                "- {interface: a, addresses: [192.0.2.9/24], routes: [{to: default, via: 192.0.3.1}], rdma: true, share: ipvlan}",
                [
                    (
                        'routes.1.via gateway "192.0.3.1" is in no network of the addresses, nor has it a route of its '
                        f"own; correct it, or give onlink: true (annotation {OWN}, entry 1, field routes.1.via)"
                    ),
                    (
                        "rdma does not go with share: it is of the interface, which stays on the host "
                        f"(annotation {OWN}, entry 1, field rdma)"
                    ),
                ],
            ),
            (
                "- {pool: fast, count: 2, name: 'x{n}', addresses: [192.0.2.9/24], vf: {mac: 02:00:5e:10:00:01}}",
                [
                    (
                        f"{field} is for one interface, and 2 are asked for; write an entry for each "
                        f"(annotation {OWN}, entry 1, field {field})"
                    )
                    for field in ("addresses", "vf.mac")
                ],
            ),
            (
                "- {interface: a, vlan: {id: 5, name: b}}\n- {interface: b}\n- {interface: c, vlan: {id: 5, name: c}}",
                [
                    f'the name "b" is wanted twice, first in entry 2 (annotation {OWN}, entry 1)',
                    f'the name "c" is wanted twice, first in entry 3 (annotation {OWN}, entry 3)',
                ],
            ),
            (
                (
                    "- {interface: a, vrf: {name: red, table: 9}}\n- {interface: b, vrf: {name: red, table: 8}}\n"
                    "- {interface: c, name: blue}\n- {interface: d, vrf: {name: blue, table: 7}}\n"
                    "- {interface: e, vrf: {name: red, table: 9}}\n"
                ),
                [
                    f'the VRF "red" has another table in entry 1 (annotation {OWN}, entry 2, field vrf.table)',
                    f'the name "blue" is wanted twice, first in entry 3 (annotation {OWN}, entry 4, field vrf.name)',
                ],
            ),
            (
                "- {interface: a, share: macvlan}\n- {interface: a, share: macvlan, name: b}\n- {interface: a, name: c}",
                [f'interface "a" is asked for twice, first in entry 1 (annotation {OWN}, entry 3)'],
            ),
            (
                "- {pool: fast, count: 0}",
                [f'count "0" is not a whole number from 1 to 64 (annotation {OWN}, entry 1, field count)'],
            ),
            (
                "- {interface: a, count: 2}",
                [
                    f"2 of one interface are asked for; name a pool or a pattern (annotation {OWN}, entry 1, field count)"
                ],
            ),
            (
                "- {pool: fast, count: 2, name: net}",
                [f'2 interfaces cannot all have the name "net"; add {{n}} (annotation {OWN}, entry 1)'],
            ),
            (
                '- {interface: a, name: "{pool}0"}',
                [f'name "{{pool}}0" has {{pool}}, and no pool is asked for (annotation {OWN}, entry 1, field name)'],
            ),
            (
                '- {pool: fast, name: "net{x}"}',
                [
                    f'name "net{{x}}" has braces that are neither {{n}} nor {{pool}} (annotation {OWN}, entry 1, field name)'
                ],
            ),
            (
                '- {pool: very-fast-pool, name: "{pool}-{n}"}',
                [
                    f'name "{{pool}}-{{n}}", filled in, is longer than 15 bytes (it has 16) (annotation {OWN}, entry 1, field name)'
                ],
            ),
            ("- count: 2", [f"no interface is named; add the field interface (annotation {OWN}, entry 1)"]),
            (
                "- {mac: x, pci: y, numa_node: 01, state: UP}",
                [
                    f'mac "x" is not a MAC address as 02:00:5e:10:00:01 (annotation {OWN}, entry 1, field mac)',
                    f'pci "y" is not a PCI address as 0000:3b:00.0 (annotation {OWN}, entry 1, field pci)',
                    f'numa_node "01" is not a whole number from 0 to 1023 (annotation {OWN}, entry 1, field numa_node)',
                    f'state "UP" is neither up nor down (annotation {OWN}, entry 1, field state)',
                ],
            ),
            (
                "[{pool: a, count: 60}, {pool: b, count: 5}]",
                [f"65 interfaces are asked for in all; at most 64 can be (annotation {OWN})"],
            ),
            ("- name: net1", [f"no interface is named; add the field interface (annotation {OWN}, entry 1)"]),
            ("- {}", [f"no interface is named; add the field interface (annotation {OWN}, entry 1)"]),
            (
                "- interface: [a]",
                [f"interface must be a text, not a list (annotation {OWN}, entry 1, field interface)"],
            ),
            ("- interface:\n", [f"interface must be a text, not null (annotation {OWN}, entry 1, field interface)"]),
            (
                "- interface: a\n  name: {b: c}\n",
                [f"name must be a text, not a mapping (annotation {OWN}, entry 1, field name)"],
            ),
            ("- interface: a\n  name: ''\n", [f'name "" is empty (annotation {OWN}, entry 1, field name)']),
            (
                "- interface: a b\n  name: net%d\n",
                [
                    f'interface "a b" contains whitespace (" ") (annotation {OWN}, entry 1, field interface)',
                    (
                        f'name "net%d" contains "%", a template that runtimes fail on; write the whole name '
                        f"(annotation {OWN}, entry 1, field name)"
                    ),
                ],
            ),
            (
                "- a\n- \n",
                [f"an entry must be the name of an interface or a mapping, not null (annotation {OWN}, entry 2)"],
            ),
            (
                "- [a]",
                [f"an entry must be the name of an interface or a mapping, not a list (annotation {OWN}, entry 1)"],
            ),
            ("- a\n- b\n- a\n", [f'interface "a" is asked for twice, first in entry 1 (annotation {OWN}, entry 3)']),
            (
                "- {interface: a, name: n}\n- {interface: b, name: n}\n",
                [f'the name "n" is wanted twice, first for "a" in entry 1 (annotation {OWN}, entry 2)'],
            ),
            (
                "- {interface: a, name: b}\n- b\n",
                [f'the name "b" is wanted twice, first for "a" in entry 1 (annotation {OWN}, entry 2)'],
            ),
            ("", [f"the annotation is empty; write a list of interfaces, or [] for none (annotation {OWN})"]),
            ("null", [f"the annotation is empty; write a list of interfaces, or [] for none (annotation {OWN})"]),
            (
                "ens2f0",
                [f'the annotation must be a list of interfaces, not a text; begin each with "- " (annotation {OWN})'],
            ),
            (
                "interface: a",
                [
                    f'the annotation must be a list of interfaces, not a mapping; begin each with "- " (annotation {OWN})'
                ],
            ),
            (
                "- a\n- b: [",
                [f"the annotation is not YAML: did not find expected node content (annotation {OWN}, line 3)"],
            ),
            (
                "- interface: a\n  interface: b\n",
                [f'the annotation has the key "interface" twice (first in line 1) (annotation {OWN}, line 2)'],
            ),
            (
                "- a\n- b\0\n",
                [f"the annotation holds the character U+0000, which YAML does not allow (annotation {OWN}, line 2)"],
            ),
            (
                '- "a\\0"',
                [
                    f'interface "a\\x00" contains a control character ("\\x00") (annotation {OWN}, entry 1, field interface)'
                ],
            ),
            (
                "- größe",
                [
                    f'interface "größe" contains "ö", which is not ASCII; many tools fail on it (annotation {OWN}, entry 1, field interface)'
                ],
            ),
            ("- x\n" * 65, [f"65 interfaces are asked for; at most 64 can be (annotation {OWN})"]),
            ("- x\n" * 900, [f"900 interfaces are asked for; at most 64 can be (annotation {OWN})"]),
            ("- a\n" * 66_000, [f"the annotation is larger than 256 KiB (annotation {OWN})"]),
            ("- &a [*a]", [f'the annotation has the anchor "a"; anchors are not accepted (annotation {OWN}, line 1)']),
        ],
    )
    def test_what_is_wrong_is_told_with_annotation_entry_and_field(self, value: str, problems: list[str]) -> None:
        """The exact words that a pod's author reads."""
        assert told(value) == problems

    def test_all_problems_are_told_at_once(self) -> None:
        """One look at the pod's events is enough to mend it; what is right is not given in part."""
        value = "- ens2f0\n- nmae: x\n- [a]\n- interface: a/b\n- ens2f0\n"
        assert told({OWN: value, POD: "{}"}) == [
            f'unknown field "nmae" (did you mean "name"?) (annotation {OWN}, entry 2, field nmae)',
            f"an entry must be the name of an interface or a mapping, not a list (annotation {OWN}, entry 3)",
            f'interface "a/b" contains "/", which the kernel refuses (annotation {OWN}, entry 4, field interface)',
            f'the annotation must be a list of interfaces, not a mapping; begin each with "- " (annotation {POD})',
            f'interface "ens2f0" is asked for twice, first in entry 1 (annotation {OWN}, entry 5)',
        ]

    def test_a_slip_in_the_key_is_told(self) -> None:
        """A container is not started without its interface because of a typing error in our own prefix."""
        assert told({"nri-netdev.io/containers.app": "[a]", "nri-netdev.io/Pod": "[a]", "nri-netdev.io/zz": "[a]"}) == [
            (
                'unknown annotation key (did you mean "nri-netdev.io/container.app"?) '
                "(annotation nri-netdev.io/containers.app)"
            ),
            'unknown annotation key (did you mean "nri-netdev.io/pod"?) (annotation nri-netdev.io/Pod)',
            "unknown annotation key (annotation nri-netdev.io/zz)",
        ]

    def test_both_spellings_of_the_pods_key_are_one_too_many(self) -> None:
        """Neither is silently preferred."""
        assert told({POD: "[a]", SHORT: "[b]"}) == [
            f"asks for the same pod as annotation {POD}; keep one of the two (annotation {SHORT})"
        ]

    def test_duplicates_are_found_across_annotations(self) -> None:
        """What container and pod ask together must fit into the one network namespace."""
        assert told({OWN: "[a, {interface: b, name: n}]", POD: "[a, {interface: c, name: n}]"}) == [
            f'interface "a" is asked for twice, first in annotation {OWN}, entry 1 (annotation {POD}, entry 1)',
            f'the name "n" is wanted twice, first for "b" in annotation {OWN}, entry 2 (annotation {POD}, entry 2)',
        ]

    def test_the_number_is_bounded_across_annotations(self) -> None:
        """64 for the container, the pod's included."""
        own, pod = ("\n".join(f"- {letter}{n}" for n in range(40)) for letter in "ab")
        assert told({OWN: own, POD: pod}) == [
            f"80 interfaces are asked for in all; at most 64 can be (annotation {POD})"
        ]


class TestDeviceInjector:
    """The keys and the grammar of containerd/nri's device-injector, as its decoder has them."""

    @pytest.mark.parametrize("key", DEVICE_INJECTOR)
    def test_every_key_works_unchanged(self, key: str) -> None:
        """Pod-level keys are the pod's, the others the container's."""
        parsed = parse({key: "- hostIf: ens2f0\n  name: net1\n"}, container="app")
        [entry] = parsed.entries
        scope = Scope.CONTAINER if "/container." in key else Scope.POD
        assert (entry.interface, entry.inside, entry.key) == ("ens2f0", "net1", key)
        assert (entry.scope, entry.grammar) == (scope, Grammar.DEVICE_INJECTOR)

    def test_the_first_key_present_wins(self) -> None:
        """In the plugin's own order; the rest is not even read."""
        for first, second in itertools.combinations(DEVICE_INJECTOR, 2):
            assert asked({second: "not read: [", first: "- hostIf: ens2f0"}) == [("ens2f0", "ens2f0")]

    @pytest.mark.parametrize(
        ("value", "entries"),
        [
            ("- hostIf: ens2f0", [("ens2f0", "ens2f0")]),
            ("- hostif: ens2f0\n  NAME: net1\n", [("ens2f0", "net1")]),
            ("- {HostIf: ens2f0, Name: net1, comment: [x], mtu: 9}", [("ens2f0", "net1")]),
            ('[{"hostIf": "ens2f0", "name": ""}]', [("ens2f0", "ens2f0")]),
            ("- hostIf: ens2f0\n  name:\n", [("ens2f0", "ens2f0")]),
            ("- hostIf: 0", [("0", "0")]),
            ("", []),
            ("null", []),
            ("[]", []),
        ],
    )
    def test_what_worked_there_works_here(self, value: str, entries: list[tuple[str, str]]) -> None:
        """Field names in any case, unknown fields ignored, null and empty as if absent."""
        assert asked({DEVICE_INJECTOR[1]: value}) == entries

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("- name: net1", "no interface is named; add the field hostIf (annotation {}, entry 1)"),
            ("- hostIf: ''", "no interface is named; add the field hostIf (annotation {}, entry 1)"),
            ("- ens2f0", "an entry must be a mapping, not a text (annotation {}, entry 1)"),
            ("- hostIf: [a]", "hostIf must be a text, not a list (annotation {}, entry 1, field hostIf)"),
            (
                "- hostif: a:1",
                (
                    'hostIf "a:1" contains ":", which the kernel refuses; write a: what follows the colon is the label of '
                    "an address (annotation {}, entry 1, field hostIf)"
                ),
            ),
            (
                "- hostIf: a\n  hostif: b\n",
                "the field hostIf is given twice, in different case (annotation {}, entry 1, field hostIf)",
            ),
            (
                "- {" + ", ".join(f"f{n}: x" for n in range(40)) + "}",
                "an entry of 40 fields; no grammar has so many (annotation {}, entry 1)",
            ),
        ],
    )
    def test_what_failed_there_late_is_told_here_early(self, value: str, problem: str) -> None:
        """In the plugin's own field names."""
        key = DEVICE_INJECTOR[1]
        assert told({key: value}) == [problem.format(key)]


class TestNetworkDeviceInjector:
    """The keys and the grammar of containerd/nri's network-device-injector."""

    @pytest.mark.parametrize("key", NETWORK_DEVICE_INJECTOR)
    def test_every_key_works_unchanged(self, key: str) -> None:
        """Those of its code and the one of its README; always the pod's."""
        [entry] = parse({key: "- name: ens2f0\n  new_name: eth1\n"}, container="app").entries
        assert (entry.interface, entry.inside, entry.key) == ("ens2f0", "eth1", key)
        assert (entry.scope, entry.grammar) == (Scope.POD, Grammar.NETWORK_DEVICE_INJECTOR)

    def test_the_first_key_present_wins(self) -> None:
        """In the plugin's own order."""
        for first, second in itertools.combinations(NETWORK_DEVICE_INJECTOR, 2):
            assert asked({second: "not read: [", first: "- name: ens2f0"}) == [("ens2f0", "ens2f0")]

    @pytest.mark.parametrize(
        "more", ["", "mtu: 0", "mtu: null", "address: ''", "prefix: 0", "New_Name: ens2f0", "other: 1"]
    )
    def test_a_field_that_says_nothing_is_as_good_as_none(self, more: str) -> None:
        """Zero, null and empty are what the plugin's decoder makes of an absent field."""
        assert asked({NETWORK_DEVICE_INJECTOR[2]: f"- {{name: ens2f0, {more}}}"}) == [("ens2f0", "ens2f0")]

    @pytest.mark.parametrize(
        ("fields", "address", "mtu"),
        [
            ("address: 192.0.2.2, prefix: 24, mtu: 9000", "192.0.2.2/24", 9000),
            ("address: 192.0.2.2", "192.0.2.2/32", None),
            ("Address: '2001:DB8::2', prefix: 0", "2001:db8::2/128", None),
        ],
    )
    def test_what_it_sets_is_set(self, fields: str, address: str, mtu: int | None) -> None:
        """As the native fields, which the ledger keeps."""
        [entry] = parse({NETWORK_DEVICE_INJECTOR[2]: f"- {{name: ens2f0, {fields}}}"}, container="app").entries
        assert [one.address for one in entry.setup.addresses or ()] == [address]
        assert entry.setup.mtu == mtu
        assert read_setup(entry.setup.document) == entry.setup

    def test_what_it_cannot_set_is_told(self) -> None:
        """In the plugin's own field names, all at once."""
        key = NETWORK_DEVICE_INJECTOR[2]
        assert told({key: "- {name: a, address: 192.0.2.2, prefix: 64, mtu: 9}\n- {name: b, address: x}"}) == [
            (
                'address "192.0.2.2/64" is not an address with a prefix length, as 192.0.2.10/24 or 2001:db8::10/64 '
                f"(annotation {key}, entry 1, field address)"
            ),
            f'mtu "9" is not a whole number from 68 to 65535 (annotation {key}, entry 1, field mtu)',
            f'address "x" is not an IP address (annotation {key}, entry 2, field address)',
        ]

    def test_the_interface_is_required(self) -> None:
        """And asked for by the plugin's name for it."""
        key = NETWORK_DEVICE_INJECTOR[2]
        assert told({key: "- new_name: a"}) == [
            f"no interface is named; add the field name (annotation {key}, entry 1)"
        ]


class TestTogether:
    """More than one grammar on one pod."""

    def test_the_two_plugins_keys_go_together(self) -> None:
        """As they did when both plugins ran."""
        annotations = {"network-devices.nri.io/pod": "- hostIf: a", "netdevices.nri.containerd.io": "- name: b"}
        assert asked(annotations) == [("a", "a"), ("b", "b")]
        annotations["netdevices.nri.containerd.io"] = "- name: a"
        assert told(annotations) == [
            (
                'interface "a" is asked for twice, first in annotation network-devices.nri.io/pod, entry 1 '
                "(annotation netdevices.nri.containerd.io, entry 1)"
            )
        ]

    def test_native_and_foreign_for_the_same_scope_are_ambiguous(self) -> None:
        """Which of the two is meant is for the author to say."""
        assert told({POD: "[a]", "network-devices.nri.io": "- hostIf: b"}) == [
            f"asks for the same pod as annotation {POD}; keep one of the two (annotation network-devices.nri.io)"
        ]
        assert told({OWN: "[a]", "network-devices.nri.io/container.app": "- hostIf: b"}) == [
            (
                f"asks for the same container as annotation {OWN}; keep one of the two "
                "(annotation network-devices.nri.io/container.app)"
            )
        ]

    def test_native_and_foreign_for_different_scopes_add_up(self) -> None:
        """A pod can be switched annotation by annotation."""
        annotations = {OWN: "[a]", "netdevices.nri.containerd.io": "- name: b"}
        assert asked(annotations) == [("a", "a"), ("b", "b")]


VALUES = st.one_of(
    st.text(),
    st.text(alphabet="ab:-[]{}, \n\"'&*!|interfacename"),
    st.lists(st.sampled_from(["- a", "- {interface: b, name: c}", "- hostIf: d", "- name: e", "- [", "-"])).map(
        "\n".join
    ),
)
KEYS = st.sampled_from(EVERY_KEY) | st.text(max_size=5).map(lambda text: f"nri-netdev.io/{text}")


@given(st.dictionaries(KEYS, VALUES), st.sampled_from(["app", "", "other"]))
def test_any_annotations_give_entries_or_problems(annotations: dict[str, str], container: str) -> None:
    """Never both and never an exception; and what is given is sound."""
    parsed = parse(annotations, container=container)
    assert not (parsed.entries and parsed.problems)
    interfaces = [entry.interface for entry in parsed.entries]
    names = [entry.inside for entry in parsed.entries]
    assert len(set(interfaces)) == len(set(names)) == len(interfaces) <= MAX_INTERFACES
    assert not any(why_invalid(name) for name in interfaces + names)
    assert all(entry.key in annotations and entry.number >= 1 for entry in parsed.entries)


@given(st.permutations(EVERY_KEY[:2] + EVERY_KEY[3:]))
def test_the_order_of_annotations_does_not_matter(keys: list[str]) -> None:
    """A map has no order: the same pod gives the same answer on every node."""
    annotations = {key: f"- {{interface: a{n}, hostIf: b{n}, name: c{n}}}" for n, key in enumerate(sorted(keys))}
    assert parse({key: annotations[key] for key in keys}, container="app") == parse(annotations, container="app")


SETUP = (
    f"addresses: [{', '.join(f'10.{n}.0.1/{n % 24 + 8}' for n in range(32))}], "
    f"routes: [{', '.join(f'{{to: 198.51.{n}.0/24, via: 203.0.113.{n}}}' for n in range(128))}]"
)
"""Addresses, and routes by gateways that are in none of their networks."""


V6 = ", ".join(f"'2001:db8::{n}/64'" for n in range(32))
HOSTILE = {
    "brackets": "[" * 262_144,
    "dashes": "- " * 131_072,
    "fields": "- {" + ", ".join(f"k{n}: v" for n in range(20_000)) + "}",
    "long name": "- " + "x" * 262_000,
    "templates": "- '" + "%" * 262_000 + "'",
    "slips": "\n".join("- {" + ", ".join(f"{'k' * 60}{n}: v" for n in range(31)) + "}" for _ in range(64)),
    "near slips": "\n".join("- {" + ", ".join(f"macvlanx{n}: v" for n in range(31)) + "}" for _ in range(64)),
    "routes": "\n".join(f"- {{interface: a{n}, {SETUP}}}" for n in range(6)),
    "devices": f"- {{interface: a, vlan: [{', '.join(f'{{name: a{n}, id: {n + 1}}}' for n in range(64))}]}}\n" * 8,
    "anchors": "&a " * 80_000,
    "laughs": "a: &a [b, b]\n" + "c: [*a, *a]\n" * 20_000,
    "addresses": "\n".join(f"- {{interface: a{n}, addresses: [{V6}]}}" for n in range(64)),
}
"""What a hostile pod may write in an annotation."""


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pod_takes_the_daemon_no_time(value: str) -> None:
    """256 KiB in every key that we read are refused before they cost anything."""
    annotations = dict.fromkeys(EVERY_KEY, value)
    assert parse(annotations, container="app").problems
    assert calls_of(lambda: parse(annotations, container="app")) < 4_000_000


def test_a_problem_within_a_field_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field may be a list of mappings; a flaw of the whole entry is worded as the entry's."""

    def build(**_: object) -> None:
        raise UnfitError("needs a route")

    route = Record(
        build=dict, members={"to": Member(shape=like("[0-9.]+", "a network"), text="where", is_required=True)}
    )
    members = {
        "name": Member(shape=like("[a-z]+", "a word"), text="x"),
        "routes": Member(shape=ListOf(item=route), text="x"),
    }
    monkeypatch.setitem(GRAMMARS, Grammar.NATIVE, GrammarSpec(record=Record(build=build, members=members)))  # type: ignore[arg-type]
    text = "- {routes: [{to: 1.2}, {too: x}, {to: x}, 5], name: [a]}\n- {name: a}\n- []\n"
    assert [str(problem) for problem in parse({POD: text}, container="app").problems] == [
        f"{message} (annotation {POD}, {place})"
        for message, place in (
            ('unknown field "too" (did you mean "to"?)', "entry 1, field routes.2.too"),
            ("routes.2 lacks to: where", "entry 1, field routes.2"),
            ('routes.3.to "x" is not a network', "entry 1, field routes.3.to"),
            ("routes.4 must be a mapping, not a text", "entry 1, field routes.4"),
            ("name must be a text, not a list", "entry 1, field name"),
            ("an entry needs a route", "entry 2"),
            ("an entry must be a mapping, not a list", "entry 3"),
        )
    ]
