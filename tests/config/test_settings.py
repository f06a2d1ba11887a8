"""The configuration file: everything that can be set is read, and the schema is what is read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.config.settings import AT_START, CONFIGURATION, Settings, read, schema, settings_of
from nri_netdev.domain.policy.rules import LabelSelector, Operator, Requirement, Rule
from nri_netdev.domain.policy.selectors import LinkState, Selector
from nri_netdev.domain.setup.values import Ipam

FULL = """\
# Everything that can be set.
socket: /run/nri.sock
name: netdev
index: "07"
state_dir: /s
run_dir: /r
log_level: debug
injection: oci
on_missed: attach
health: unix:///h
metrics: "[::1]:9100"
metadata: off
cni_path: /opt/cni/bin:/x
ipam:
  storage: {type: whereabouts, range: 192.0.2.0/24}
protected:
  - mgmt*
  - {mac: "02:00:5E:10:00:01"}
pools:
  fast:
    - {driver: ice, min_speed_mbps: 25000, numa_node: 1, state: up}
    - {vf_of: ens1f0, device: "8086:1889"}
  shared: [{kind: macvlan}, {pci: "3b:00.0"}, {altname: left}]
rules:
  - name: team a
    namespaces: [team-a, "team-a-*"]
    pods:
      matchLabels: {app: router}
      matchExpressions:
        - {key: tier, operator: In, values: [front, back]}
        - {key: legacy, operator: DoesNotExist}
    runtime_handlers: [default, kata]
    interfaces: [ens2f0, {altname: right}]
    pools: [fast, shared]
    count: 2
    names: ["net*", left]
    allow_protected: true
  - {namespaces: ["*"], pools: [shared], may: [routes, all], prefixes: [192.0.2.0/24], default_route: true, share: true}
"""


def settings(text: str) -> Settings:
    """What a text sets that has no problems."""
    values, problems = read(text, source="c.yaml")
    assert not problems
    return settings_of(values)


@pytest.mark.parametrize("text", ["", "# nothing set\n", "null", "{}"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    """However empty it is."""
    assert settings(text) == Settings()


def test_everything_that_can_be_set_is_read() -> None:
    """Into values that cannot be wrong."""
    full = settings(FULL)
    assert (full.socket, full.index, full.injection) == (Path("/run/nri.sock"), "07", "oci")
    assert (full.health, full.metrics) == ("unix:///h", "[::1]:9100")
    policy = full.policy
    assert policy.protected == (Selector(interface="mgmt*"), Selector(mac="02:00:5e:10:00:01"))
    assert policy.pools == {
        "fast": (
            Selector(driver="ice", min_speed_mbps=25000, numa_node=1, state=LinkState.UP),
            Selector(vf_of="ens1f0", device="8086:1889"),
        ),
        "shared": (Selector(kind="macvlan"), Selector(pci="0000:3b:00.0"), Selector(altname="left")),
    }
    assert policy.rules == (
        Rule(
            number=1,
            name="team a",
            namespaces=("team-a", "team-a-*"),
            pods=LabelSelector(
                match_labels={"app": "router"},
                match_expressions=(
                    Requirement(key="tier", operator=Operator.IN, values=("front", "back")),
                    Requirement(key="legacy", operator=Operator.DOES_NOT_EXIST),
                ),
            ),
            runtime_handlers=("default", "kata"),
            interfaces=(Selector(interface="ens2f0"), Selector(altname="right")),
            pools=("fast", "shared"),
            count=2,
            names=("net*", "left"),
            allow_protected=True,
        ),
        Rule(
            number=2,
            namespaces=("*",),
            pools=("shared",),
            may=frozenset({"routes", "all"}),
            prefixes=("192.0.2.0/24",),
            default_route=True,
            share=True,
        ),
    )
    assert [rule.may_all for rule in policy.rules] == [False, True]
    assert policy.rules[0].may == {"addresses", "mtu"}
    assert policy.ipam == {
        "storage": Ipam(type="whereabouts", document='{"range": "192.0.2.0/24", "type": "whereabouts"}')
    }
    assert (full.metadata, full.cni_path) == ("off", "/opt/cni/bin:/x")


# -- the definition ----------------------------------------------------------------------------------------------------


def test_every_setting_is_defined_in_one_place() -> None:
    """What can be set is what the file may hold, with a meaning and, but for the policy, a default."""
    names = {one.name for one in fields(Settings)} - {"policy"}
    assert set(CONFIGURATION.members) == names | {
        "protected",
        "pools",
        "rules",
        "ipam",
        "unshared_handlers",
        "shared_handlers",
    }
    assert set(AT_START) < names
    for name in names:
        assert CONFIGURATION.members[name].text


def test_the_schema_is_one_that_tools_understand() -> None:
    """Of the keywords of JSON schema only those that mean the same in every draft since 6, and as JSON."""
    known = {
        "$schema", "title", "type", "properties", "additionalProperties", "description", "default", "pattern", "enum",
        "items", "minItems", "maxItems", "maxProperties", "required", "anyOf", "propertyNames", "minimum", "maximum",
    }  # fmt: skip

    def keywords(node: Any) -> set[str]:
        if not isinstance(node, dict):
            return set()
        own = set(node)
        for key, child in node.items():
            children = child.values() if key == "properties" else child if isinstance(child, list) else [child]
            own |= {word for one in children for word in keywords(one)}
        return own

    found = json.loads(json.dumps(schema()))
    assert keywords(found) <= known
    assert found["properties"]["rules"]["items"]["required"] == ["namespaces"]
