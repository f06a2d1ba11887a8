"""What people copy - the pages on annotations and policy, the example of two tenants - is right and does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nri_netdev.config import settings
from nri_netdev.domain.annotations.manifest import pods_in, validate_text
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.verdict.explain import explain_pod
from nri_netdev.domain.verdict.node import NodeState

ROOT = Path(__file__).parents[3]
RECIPES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_recipe_of_the_cookbook_is_a_configuration(recipe: str) -> None:
    """It can be copied as it stands."""
    values, problems = settings.read(recipe, source="policy.md")
    assert not problems
    assert values


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


def test_the_threats_name_tests_that_exist() -> None:
    """Each line of the threat model is held by what it says."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {test}\(", source), f"{file}::{test}"
