"""Names inside the pod: which are free, and what alternative names stand in their way."""

from __future__ import annotations

import pytest

from nri_netdev.domain.verdict.naming import Naming
from nri_netdev.domain.verdict.outcome import Case
from nri_netdev.errors import Reason
from tests.domain.verdict.nodes import available, by_name, entries, node, refused


def test_an_alternative_name_travels_with_its_device() -> None:
    """So nothing else that comes into the pod can be called that."""
    assert refused("[ens1f0, {interface: ens1f1, name: enp1s0f0}]") == [
        'the name "enp1s0f0" is an alternative name of ens1f0, which comes as well'
    ]


def test_an_alternative_name_must_be_free_in_the_pod_too() -> None:
    """It travels with the device, and the kernel refuses the whole move where it is taken; marks of ours do not count."""
    assert refused("[ens1f0]", names=("enp1s0f0", "nri-netdev-0")) == [
        'the alternative name "enp1s0f0" of ens1f0 is already taken in the pod'
    ]


@pytest.mark.parametrize(
    ("name", "inside"), [("net{n}", ["net0", "net2"]), ("eth{n}", ["eth1", "eth2"]), ("x{n}", ["x0", "x1"])]
)
def test_a_pattern_takes_the_lowest_free_number(name: str, inside: list[str]) -> None:
    """Of the names that the pod has, and that other entries want."""
    [several, one] = entries(f"[{{kind: hardware, count: 2, name: '{name}'}}, {{interface: ens1f1, name: net1}}]")
    cases = [Case(several, links=(by_name("ens1f0"), by_name("under0"))), Case(one, links=(by_name("ens1f1"),))]
    Naming(cases, available(node())).grant()
    assert [grant.entry.inside for grant in cases[0].grants] == inside
    assert [grant.entry.inside for grant in cases[1].grants] == ["net1"]


@pytest.mark.parametrize(
    ("first", "other", "reason"),
    [
        ("{interface: '*1f0'}", "{pool: fast, name: ens1f0}", Reason.POOL),
        ("{interface: '*1f0'}", "{interface: under0, name: ens1f0}", Reason.ANNOTATION),
    ],
)
def test_a_name_that_another_entry_wants(first: str, other: str, reason: Reason) -> None:
    """Is not given to an interface that would keep its own."""
    asked = entries(f"[{first}, {other}]")
    cases = [Case(asked[0], links=(by_name("ens1f0"),)), Case(asked[1], links=(by_name("under0"),))]
    Naming(cases, available(node())).grant()
    [problem] = cases[0].problems
    assert problem.message == f'the name "ens1f0" is wanted twice, also for "{asked[1].wanted}"'
    assert problem.reason is reason
