"""Configurations: what is set by a good one, and every problem of a bad one, all at once, each with its line.

That docs/config.schema.json is the schema of the code is for tests/test_docs.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

# Everything internal that this file knows.
from nri_netdev.config import settings
from nri_netdev.config.watched import Watched
from nri_netdev.errors import ConfigurationError
from tests.golden.store import as_json, plain, stored

RULE = "namespaces: [a], interfaces: [b]"
FULL = """\
socket: /run/nri.sock
name: netdev
index: "07"
state_dir: /s
run_dir: /r
log_level: debug
log_format: json
injection: oci
on_missed: attach
health: unix:///h
metrics: "[::1]:9100"
protected: [mgmt*, {mac: "02:00:5E:10:00:01"}]
pools:
  fast: [{driver: ice, min_speed_mbps: 25000, numa_node: 1, state: up}, {vf_of: ens1f0, device: "8086:1889"}]
  shared: [{kind: macvlan}, {pci: "3b:00.0"}, {altname: left}]
rules:
  - name: team a
    namespaces: [team-a, "team-a-*"]
    pods:
      matchLabels: {app: router}
      matchExpressions: [{key: tier, operator: In, values: [front, back]}, {key: legacy, operator: DoesNotExist}]
    runtime_handlers: [default, kata]
    interfaces: [ens2f0, {altname: right}]
    pools: [fast, shared]
    count: 2
    names: ["net*", left]
    allow_protected: true
    allow_source_routed: true
    allow_partial: true
  - {namespaces: ["*"], pools: [shared]}
"""
TEXTS = (
    "",
    "null",
    "{}",
    "# nothing set\n",
    "log_level: debug\n",
    f"rules: [{{{RULE}}}]",
    FULL,
    "nmae: x",
    "zzzzzz: x",
    "'a.b\\n': x",
    "- a",
    "text",
    "a: 1\na: 2",
    "a: b\n---\nc: d",
    "a: [",
    "a: !!python/object:os.system b",
    "name: &x y\nindex: *x",
    "name: *x",
    "name: a\0b",
    "x" * (1 << 21),
    "rules: " + "[" * 20 + "]" * 20,
    "index: '7'\nname: a b\nlog_level: loud\nmetrics: unix:///x\nhealth: here",
    "socket: nri.sock\nstate_dir: ''\nrun_dir: ./x",
    "socket:\nname: []\nindex: {}",
    "log_format: yaml\ninjection: Auto\non_missed: never",
    "log_level: DEBUG",
    "index: 100\nname: ''",
    "index: -1\nname: größe",
    "metrics: '9100'\nhealth: unix://x",
    "metrics: host:99999\nhealth: '[::1]'",
    "policy: {}",
    "rules:\npools: []",
    "protected:\nrules: {}",
    "protected: a",
    "protected: [{}, {driver: a b}, {speed: 1}, 'a b', [x]]",
    "protected: [{mac: x}, {pci: y}, {device: z}, {numa_node: -1}, {min_speed_mbps: x}, {state: UP}, {vf_of: 'a*'}]",
    "protected:\n- {kind: 'a b'}\n- {altname: a/b}\n- {interface: ''}\n- {interface: abcdefghijklmnop}\n- ''\n-\n",
    "protected: [{driver: [ice]}, {driver: }, {driver: ice, driver: ice}]",
    "pools: {fast: []}",
    "pools: {fast: a}",
    "pools: {Fast: [a], very-long-pool-name: [b], '': [c], fast: [{}]}",
    "pools: {fast: [a/b, {driver: x y}], slow: }",
    "rules: [a]",
    "rules: [{}]",
    "rules: [{namespaces: [a]}]",
    "rules: [{interfaces: [a]}]",
    "rules:\n- {namespaces: [], interfaces: [a]}\n- {namespaces: , interfaces: [b]}\n- {interfaces: [c]}",
    "rules:\n- {namespaces: [a], interfaces: []}\n- {namespaces: [a], pools: []}\n- {namespaces: [a], pools: x}",
    (
        "rules:\n- namespaces: [Team, 'a b', '']\n  pools: [fats, no-such-thing]\n  count: many\n  names: [a/b]\n"
        "  allow_protected: yes\n  who: me\npools: {fast: [a]}"
    ),
    f"rules:\n- {{{RULE}, count: -1}}\n- {{{RULE}, count: 65}}\n- {{{RULE}, count: 1.0}}\n- {{{RULE}, count: }}",
    f"rules:\n- {{{RULE}, names: []}}\n- {{{RULE}, names: [abcdefghijklmnop, '']}}\n- {{{RULE}, name: '{'x' * 61}'}}",
    f"rules:\n- {{{RULE}, name: ''}}\n- {{{RULE}, name: \"a\\nb\"}}\n- {{{RULE}, runtime_handlers: ['a b', '']}}",
    f"rules:\n- {{{RULE}, runtime_handlers: []}}\n- {{{RULE}, allow_protected: True}}\n- {{{RULE}, interface: c}}",
    "rules: [{namespaces: [a], interfaces: ['*', {driver: x}], allow_protected: true}]",
    "rules: [{namespaces: [a], pools: [p], allow_protected: true}]\npools: {p: [a]}",
    f"rules:\n- {{{RULE}, pods: }}\n- {{{RULE}, pods: {{}}}}\n- {{{RULE}, pods: {{labels: {{a: b}}}}}}",
    (
        "rules:\n- namespaces: [a]\n  interfaces: [b]\n  pods:\n    matchLabels: {'a b': c, d: 'e f'}\n"
        "    matchExpressions:\n    - {key: k, operator: In}\n    - {key: k, operator: Exists, values: [v]}\n"
        "    - {key: k, operator: Like}\n    - {operator: Exists}\n    - {key: k, operator: NotIn, values: []}\n"
        "    - {key: k, operator: DoesNotExist, values: [v]}\n    - {key: k}\n"
    ),
    f"rules:\n- {{{RULE}, pods: {{matchLabels: [a]}}}}\n- {{{RULE}, pods: {{matchExpressions: {{}}}}}}",
    f"rules:\n- {{{RULE}, pods: {{matchLabels: {{a: }}}}}}\n- {{{RULE}, pods: {{matchLabel: {{a: b}}}}}}",
    "rules: [{namespaces: [a], pools: [slwo, fast]}]\npools: {slow: [x], fast: [{}]}",
    "rules: [{namespaces: [a], pools: [fast]}]",
    "name: a b\nrules: [{}]\npools: {X: []}\nprotected: [{}]\nwhat: is this\n",
    "rules:\n" + "- {}\n" * 30,
    "unshared_handlers: [kata*, vm]\nshared_handlers: [default]",
    "unshared_handlers: kata\nshared_handlers: ['a b', '', [x]]",
    (
        "metadata: off\ncni_path: /a:/b\nipam: {storage: {type: whereabouts, range: 192.0.2.0/24, x: [1, true, y]}}\n"
        f"rules:\n- {{{RULE}, may: [all], default_route: true, share: true}}\n"
        f"- {{{RULE}, may: [ipam, routes], prefixes: [192.0.2.0/24, '2001:DB8::/32']}}"
    ),
    (
        "metadata: yes\ncni_path: bin\nipam: {A: {type: x}, b: {}, c: d, e: {type: [x]}}\n"
        f"rules:\n- {{{RULE}, may: [everything, share], default_route: 1}}\n"
        f"- {{{RULE}, may: addresses, prefixes: []}}\n- {{{RULE}, prefixes: [192.0.2.1/24, x], share: yes}}"
    ),
)
CASES = {str(number): text for number, text in enumerate(TEXTS)}
FROM_ENGINE = {
    f"engine: {text}": text
    for text in (
        "log_level: error",
        "socket: /x\nindex: '20'\n",
        "log_level: x",
        "name: a\nrules: [{}]\n",
        "- a",
        "a: [",
    )
}
"""What an engine passes in Configure, over a file that is wrong too."""

_SHOWN_CHARS = 600


def read(name: str) -> dict[str, object]:
    """The text of a case, if it is short, and what is wrong with it or what it sets."""
    text = CASES[name]
    values, problems = settings.read(text, source="c.yaml")
    shown: dict[str, object] = {"text": text} if len(text) <= _SHOWN_CHARS else {}
    return shown | ({"problems": list(problems)} if problems else {"settings": plain(settings.settings_of(values))})


def read_from_engine(name: str) -> list[str]:
    """What is wrong where an engine passes something, a line for each problem."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "c.yaml"
        path.write_text("name: a b\n", encoding="utf-8")
        try:
            Watched(path, index="x").load(FROM_ENGINE[name])
        except ConfigurationError as error:
            return str(error).replace(directory, "DIR").splitlines()
    return []


def configurations() -> dict[str, object]:
    """Every case by its name."""
    return {name: read(name) for name in CASES} | {name: read_from_engine(name) for name in FROM_ENGINE}


def test_cases() -> None:
    """The stored cases are those of this file."""
    assert list(stored("configurations")) == [*CASES, *FROM_ENGINE]


@pytest.mark.parametrize("name", CASES)
def test_configurations(name: str) -> None:
    """A configuration sets what is stored, or has the stored problems, each with its line, in the stored order."""
    assert as_json(read(name)) == stored("configurations")[name]


@pytest.mark.parametrize("name", FROM_ENGINE)
def test_configurations_from_the_engine(name: str) -> None:
    """What an engine passes is told of together with the file, in the stored words."""
    assert read_from_engine(name) == stored("configurations")[name]
