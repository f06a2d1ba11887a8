"""Choosing interfaces for entries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pci import PciFunction
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.choosing import choose
from nri_netdev.domain.verdict.counts import RuleCounts
from nri_netdev.domain.verdict.outcome import Case
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import NODE, POD, POOLS, policy_of
from tests.domain.verdict.nodes import entries, held, node

GIVES = POOLS + "rules: [{namespaces: ['*'], pools: [fast, slow], interfaces: ['ens*']}]"


def chosen(
    value: str, *, policy: str = GIVES, holders: tuple[str, ...] = (), names: tuple[str, ...] = ()
) -> list[Case]:
    """The cases of a request after choosing."""
    state = node(*map(held, holders), inventory=NODE, policy=policy_of(policy))
    available = PodAvailability(state, POD, names)
    cases = [Case(entry) for entry in entries(value)]
    choose(cases, available, RuleCounts(available.rule_for))
    return cases


@pytest.mark.parametrize(
    ("value", "links"),
    [
        ("[{pool: fast}, ens2]", [["ens10"], ["ens2"]]),
        ("[{pool: fast, count: 2}, {pool: fast, interface: 'ens1*'}]", [["ens2", "ens1"], ["ens10"]]),
        ("[{pool: fast}, {interface: ens2, pool: fast}]", [["ens10"], ["ens2"]]),
    ],
)
def test_who_can_have_the_least_chooses_first(value: str, links: list[list[str]]) -> None:
    """After the entries that name their interface, whatever the order."""
    assert [[link.ifname for link in case.links] for case in chosen(value)] == links


def test_an_entry_that_cannot_have_all_takes_nothing_from_others() -> None:
    """And it says what stands in the way of the others, by the reason that counts most."""
    short, other = chosen("[{pool: fast, count: 3}, {driver: ice}]", holders=("ens1",))
    assert [link.ifname for link in other.links] == ["ens2"]
    assert short.links == ()
    [problem] = short.problems
    assert problem.message.startswith('pool "fast" has 2 of the 3 interfaces for this pod: ')
    assert 'interface "ens1" is held by' in problem.message
    assert problem.reason is Reason.POLICY


@pytest.mark.parametrize(
    ("value", "holders", "names", "reason"),
    [
        ("[{pool: fast, state: up, driver: ice}]", ("ens2", "ens10", "uplink0"), (), Reason.HELD),
        ("[{pool: none}]", (), (), Reason.POOL),
        ("[{driver: tulip}]", (), (), Reason.ANNOTATION),
        ("[ens2, {interface: '?ns2'}]", (), (), Reason.ANNOTATION),
    ],
)
def test_reasons(value: str, holders: tuple[str, ...], names: tuple[str, ...], reason: Reason) -> None:
    """A pool's refusal is the pool's unless something weightier is in its text."""
    [problem] = [problem for case in chosen(value, holders=holders, names=names) for problem in case.problems]
    assert problem.reason is reason


def test_four_obstacles_are_told() -> None:
    """And the number of the others."""
    links = tuple(replace(link, master=7) for link in NODE.links if link.driver == "ice")
    links += tuple(Link(ifindex=20 + n, ifname=f"ens3{n}", driver="ice", master=7) for n in range(3))
    state = node(inventory=Inventory(links=links))
    available = PodAvailability(state, POD)
    [case] = [Case(entry) for entry in entries("[{driver: ice}]")]
    choose([case], available, RuleCounts(available.rule_for))
    assert case.problems[0].message.count("is enslaved to") == 4
    assert case.problems[0].message.endswith("; and 3 more")


def test_what_no_rule_gives_is_left_for_a_suggestion() -> None:
    """It has no problem yet."""
    [case] = chosen("[slow0]", policy="{}")
    assert case.unruled == 'interface "slow0"'
    assert not case.problems


NIC = PciFunction(address="0000:3b:00.0", base_class=2, driver="vfio-pci")


def refused_at(value: str, *, facts: dict[str, Facts], holders: tuple[str, ...] = ()) -> Problem:
    """The one problem of a request, where these interfaces are on PCI, and one function has none."""
    state = replace(
        node(*map(held, holders), inventory=NODE),
        facts_of=lambda link: facts.get(link.ifname, Facts()),
        pci_of={NIC.address: NIC}.get,
    )
    available = PodAvailability(state, POD)
    [case] = [Case(entry) for entry in entries(value)]
    choose([case], available, RuleCounts(available.rule_for))
    [problem] = case.problems
    return problem


@pytest.mark.parametrize(
    ("value", "told", "reason", "field"),
    [
        ("[{pci: '3b:00.0'}]", "the PCI function 0000:3b:00.0 is bound to vfio-pci", Reason.ABSENT, "pci"),
        ("[{pci: '3b:00.1', driver: ice}]", "there is no PCI function 0000:3b:00.1", Reason.ABSENT, "pci"),
        ("[{vf_of: '3b:00.1'}]", "there is no PCI function 0000:3b:00.1", Reason.ABSENT, "vf_of"),
        ("[{vf_of: '3b:00.0'}]", "what is asked for, {vf_of: '0000:3b:00.0'}, has no interface", Reason.ANNOTATION, None),
        ("[{vf_of: ens1}]", "what is asked for, {vf_of: ens1}, has no interface", Reason.ANNOTATION, None),
        (
            "[{pci: '0000:af:00.0', driver: mlx5_core}]",
            "the PCI function 0000:af:00.0 has the interface ens1, which is not {pci: '0000:af:00.0', driver: mlx5_core}",
            Reason.ANNOTATION,
            "pci",
        ),
    ],
)  # fmt: skip
def test_a_pci_function_without_an_interface(value: str, told: str, reason: Reason, field: str | None) -> None:
    """The refusal says what is at the address."""
    problem = refused_at(value, facts={"ens1": Facts(pci="0000:af:00.0")})
    assert problem.message.startswith(told)
    assert (problem.reason, problem.field) == (reason, field)


def test_a_pci_function_whose_interface_is_held() -> None:
    """The holder is named: where the interface is, is known."""
    problem = refused_at("[{pci: '3b:00.0'}]", facts={"ens1": Facts(pci="0000:3b:00.0")}, holders=("ens1",))
    assert 'interface "ens1" is held by' in problem.message
    assert problem.reason is Reason.HELD
