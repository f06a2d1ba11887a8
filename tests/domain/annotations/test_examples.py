"""What people copy - the pages on annotations and policy, the example of two tenants - is right and does what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.config import settings
from nri_netdev.domain.annotations.manifest import pods_in, validate_text
from nri_netdev.domain.effects import Attached, RdmaDevice
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.verdict.explain import explain_pod
from nri_netdev.domain.verdict.node import NodeState

ROOT = Path(__file__).parents[3]
RECIPES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(encoding="utf-8"), re.DOTALL)
FRAGMENTS = [
    text
    for text in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/users.md").read_text(encoding="utf-8"), re.DOTALL)
    if text.startswith("- ")
]
"""Annotations on the page for those who write pods."""
EXAMPLES = [
    path for path in sorted(ROOT.glob("manifests/examples/*.yaml")) if "# rules:" in path.read_text(encoding="utf-8")
]
"""Those that say which rule they need."""


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_recipe_of_the_cookbook_is_a_configuration(recipe: str) -> None:
    """It can be copied as it stands."""
    values, problems = settings.read(recipe, source="policy.md")
    assert not problems
    assert values


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=range(len(FRAGMENTS)))
def test_what_users_are_shown_is_understood(fragment: str) -> None:
    """It can be copied below a key."""
    value = "".join(f"      {line}\n" for line in fragment.splitlines())
    pod = f"kind: Pod\nmetadata:\n  name: a\n  annotations:\n    nri-netdev.io/container.app: |\n{value}"
    assert not validate_text("users.md", f"{pod}spec: {{containers: [{{name: app}}]}}\n")


def test_the_page_on_annotations_shows_what_is_understood() -> None:
    """Its example is one pod's metadata."""
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/annotations.md").read_text(encoding="utf-8"), re.DOTALL)
    pod = f"kind: Pod\n{text}spec: {{containers: [{{name: app}}]}}\n"
    [found] = pods_in(pod)
    assert list(found.pod.annotations) == ["nri-netdev.io/container.app"]
    assert not validate_text("annotations.md", pod)


def test_two_tenants_get_their_own_and_what_they_share() -> None:
    """The example's pods, on a node with such ports: who gets what, and that nobody gets what is another's."""
    text = (ROOT / "manifests/examples/multi-tenant/config.yaml").read_text(encoding="utf-8")
    values, problems = settings.read(text, source="config.yaml")
    assert not problems
    names = ("ens1f0v0", "ens1f0v1", "ens1f1v0", "ens2f0", "ens2f3", "eth0")
    links = tuple(Link(ifindex=n, ifname=name, is_up=True, has_carrier=True) for n, name in enumerate(names, 2))
    verdicts = {
        found.pod.name: [
            one.verdict
            for one in explain_pod(
                found.pod,
                found.containers,
                NodeState(
                    inventory=Inventory(links=links, default_routes=frozenset({7})),
                    policy=settings.settings_of(values).policy,
                ),
            )
        ]
        for found in pods_in((ROOT / "manifests/examples/multi-tenant.yaml").read_text(encoding="utf-8"))
    }
    assert verdicts == {
        "router": ["gives ens1f0v0 as red0, ens1f0v1 as red1", "gives ens2f0 as net1"],
        "probe": ["gives ens1f1v0 as net1"],
        "intruder": [
            (
                'refused: no rule of this node gives pool "red" to namespace "blue". '
                "A rule that would: {namespaces: [blue], interfaces: [ens1f0v0], pools: [red], count: 2}"
            ),
            (
                'refused: no rule of this node gives interface "ens1f0v0" to namespace "blue". '
                "A rule that would: {namespaces: [blue], interfaces: [ens1f0v0], pools: [red], count: 2}"
            ),
        ],
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_rule_in_the_comment_of_an_example_gives_what_its_pod_asks_for(path: Path) -> None:
    """On a node with such ports; and without what the rule says beside namespaces and interfaces, it does not."""
    text = path.read_text(encoding="utf-8")
    comment = "".join(
        line[2:] + "\n" for line in text.splitlines() if re.match("#( {2,}|( pools| ipam| rules):)", line)
    )
    values, problems = settings.read(comment, source=path.name)
    assert not problems
    policy = settings.settings_of(values).policy
    [found] = pods_in(text)
    names = {"ens1f0": "0000:3b:00.0", "ens1f0v0": "0000:3b:02.0", "ens2f0": None, "ens2f1": None, "ens3f0np0": None}
    links = tuple(Link(ifindex=n, ifname=name, min_mtu=68, max_mtu=9710) for n, name in enumerate(names, 2))
    node = NodeState(
        inventory=Inventory(links=links),
        policy=policy,
        facts_of=lambda link: Facts(
            pci=names[link.ifname], pf=names["ens1f0"] if link.ifname.startswith("ens1f0v") else None
        ),
        attached_of=lambda _: Attached(rdma=(RdmaDevice(name="mlx5_0"),)),
    )
    explained = explain_pod(found.pod, found.containers, node)
    assert [one.verdict for one in explained if not one.is_granted] == []
    rules = tuple(
        Rule(number=rule.number, namespaces=rule.namespaces, interfaces=rule.interfaces, pools=rule.pools)
        for rule in policy.rules
    )
    bare = explain_pod(found.pod, found.containers, replace(node, policy=replace(policy, rules=rules)))
    assert all(one.is_granted for one in bare) == (path.stem == "addresses")


def test_the_threats_name_tests_that_exist() -> None:
    """Each line of the threat model is held by what it says."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {test}\(", source), f"{file}::{test}"
