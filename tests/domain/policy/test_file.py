"""Whatever is wrong in a configuration is told at once, each with line and path, in words that say what to write."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.config import settings
from nri_netdev.domain.policy.selectors import Selector


def problems(text: str) -> list[str]:
    """What is wrong with a text."""
    values, told = settings.read(text, source="c.yaml")
    assert values == {} or not told
    return list(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "nmae: x",
            ['c.yaml:1: the configuration has the unknown key "nmae" (did you mean "name"?)'],
        ),
        (
            "index: '7'\nname: a b\nlog_level: loud\nmetrics: unix:///x\nhealth: here",
            [
                'c.yaml:1: index "7" is not two digits, 00 to 99',
                'c.yaml:2: name "a b" is not made of letters, digits and _.+-',
                'c.yaml:3: log_level "loud" is not one of debug, info, warning, error',
                'c.yaml:4: metrics "unix:///x" is not ADDRESS:PORT',
                'c.yaml:5: health "here" is not unix:///PATH or ADDRESS:PORT',
            ],
        ),
        ("socket: nri.sock", ['c.yaml:1: socket "nri.sock" is not an absolute path']),
        ("- a", ["c.yaml:1: the configuration must be a mapping, not a list"]),
        ("rules:\npools: []", ["c.yaml:1: rules must be a list, not null", "c.yaml:2: pools must be a mapping, not a list"]),
        (
            "rules:\n- {namespaces: [], interfaces: [a]}\n- {namespaces: , interfaces: [b]}\n- {interfaces: [c]}",
            [
                "c.yaml:2: rules.1.namespaces must not be empty; leave it out, or say what you mean",
                "c.yaml:3: rules.2.namespaces must be a list, not null",
                "c.yaml:4: rules.3 lacks namespaces: namespaces that it is for; `*` stands for any characters, `?` for one",
            ],
        ),
        (
            ("rules:\n- namespaces: [Team]\n  pools: [fats, no-such-thing]\n  count: many\n  names: [a/b]\n"
            "  allow_protected: yes\n  who: me\npools: {fast: [a]}"),
            [
                'c.yaml:2: rules.1.namespaces.1 "Team" is not a namespace, or a pattern of namespaces with * and ?',
                'c.yaml:3: rules.1.pools.1 "fats" is not defined in pools (did you mean "fast"?)',
                ('c.yaml:3: rules.1.pools.2 "no-such-thing" is not the name of a pool: lower-case letters, digits and -, '
                "at most 11"),
                'c.yaml:4: rules.1.count "many" is not a whole number from 0 to 64',
                'c.yaml:5: rules.1.names.1 "a/b" is not a name of an interface, or a pattern of names with * and ?',
                'c.yaml:6: rules.1.allow_protected "yes" is neither true nor false',
                ('c.yaml:7: rules.1 has the unknown key "who"; known: name, namespaces, pods, runtime_handlers, '
                "interfaces, pools, count, names, allow_protected, allow_source_routed, "
                "allow_partial, may, prefixes, default_route, share"),
            ],
        ),
        ("rules: [{namespaces: [a]}]", ["c.yaml:1: rules.1 needs interfaces or pools"]),
        (
            "rules: [{namespaces: [a], interfaces: ['*', {driver: x}], allow_protected: true}]",
            [
                ("c.yaml:1: rules.1 has allow_protected: true, which gives away what the node lives by, so one of its "
                "interfaces must be named: by interface without * and ?, altname, mac or pci")
            ],
        ),
        (
            "protected: [{}, {driver: a b}, {speed: 1}, 'a b', [x]]",
            [
                f"c.yaml:1: protected.1 says nothing; give one of {', '.join(f.name for f in fields(Selector))}",
                'c.yaml:1: protected.2.driver "a b" is not the name of a driver',
                'c.yaml:1: protected.3 has the unknown key "speed"; known: '
                + ", ".join(f.name for f in fields(Selector)),
                'c.yaml:1: protected.4 "a b" contains whitespace (" ")',
                "c.yaml:1: protected.5 must be a text, not a list",
            ],
        ),
        (
            ("rules:\n- namespaces: [a]\n  interfaces: [b]\n  pods:\n    matchLabels: {'a b': c, d: 'e f'}\n"
            "    matchExpressions:\n    - {key: k, operator: In}\n    - {key: k, operator: Exists, values: [v]}\n"
            "    - {key: k, operator: Like}\n    - {operator: Exists}"),
            [
                'c.yaml:5: rules.1.pods.matchLabels "a b" is not the key of a label',
                'c.yaml:5: rules.1.pods.matchLabels.d "e f" is not the value of a label',
                "c.yaml:7: rules.1.pods.matchExpressions.1 In needs values",
                "c.yaml:8: rules.1.pods.matchExpressions.2 Exists takes no values",
                'c.yaml:9: rules.1.pods.matchExpressions.3.operator "Like" is not one of In, NotIn, Exists, DoesNotExist',
                "c.yaml:10: rules.1.pods.matchExpressions.4 lacks key: a label",
            ],
        ),
        ("pools: {fast: []}", ["c.yaml:1: pools.fast must not be empty; leave it out, or say what you mean"]),
        ("a: 1\na: 2", ['c.yaml:2: the configuration has the key "a" twice (first in line 1)']),
        ("a: b\n---\nc: d", ["c.yaml:3: the configuration holds a second document (---); write one"]),
        ("a: [", ["c.yaml:2: the configuration is not YAML: did not find expected node content"]),
        ("a: !!python/object:os.system b", None),
        ("x" * (1 << 21), ["c.yaml: the configuration is larger than 1024 KiB"]),
    ],
)  # fmt: skip
def test_every_problem_is_told_with_line_and_path(text: str, told: list[str] | None) -> None:
    """All of them at once, in the order of the file, and nothing of it comes into force."""
    found = problems(text)
    assert found
    if told is not None:
        assert found == told


@given(st.text(alphabet="ab:-[]{}&*!|\n \"'") | st.text().map(lambda text: f"rules: {text}\npools: {text}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never an exception, never a message of more than one printable line."""
    for problem in problems(text):
        assert problem.isprintable()
