"""Routing rules on a real kernel: added once, removed again, and none of anybody else's."""

from __future__ import annotations

import pytest

from nri_netdev.domain.setup.values import RuleSetup, Setup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.messages import RTM_GETRULE
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup.rules import remove_rules, set_rules
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root

RULES = (
    RuleSetup(source="192.0.2.0/24", table=100),
    RuleSetup(source="192.0.2.5/32", table=70000, priority=50),
    RuleSetup(to="198.51.100.0/24", iif="net1", table=100, priority=60),
    RuleSetup(fwmark=0x10, table=100, family="inet"),
    RuleSetup(fwmark=0, table=101, family="inet"),
    RuleSetup(oif="net1", table=100, family="inet6", priority=70),
    RuleSetup(source="2001:db8::/64", table=100),
    RuleSetup(source="0.0.0.0/0", oif="net1", table=100),
)

GIVEN = {"50", "60", "70"}
"""The priorities in it."""


def shown(pod: SetupPod) -> list[str]:
    """The rules of the netns beside the three that it begins with, without the priorities that the kernel chooses."""
    lines = [" ".join(line.split()) for family in "46" for line in pod.net.ip(f"-{family} rule show").splitlines()]
    kept = [line for line in lines if line.partition(":")[0] not in {"0", "32766", "32767"}]
    return sorted(line if line.partition(":")[0] in GIVEN else line.partition(": ")[2] for line in kept)


def test_rules_are_as_asked(setup_pod: SetupPod) -> None:
    """However often they are asked for."""
    for _ in range(2):
        setup_pod.act(set_rules, Setup(rules=RULES))
        assert shown(setup_pod) == [
            "50: from 192.0.2.5 lookup 70000 proto static",
            "60: from all to 198.51.100.0/24 iif net1 lookup 100 proto static",
            "70: from all oif net1 lookup 100 proto static",
            "from 192.0.2.0/24 lookup 100 proto static",
            "from 2001:db8::/64 lookup 100 proto static",
            "from all fwmark 0 lookup 101 proto static",
            "from all fwmark 0x10 lookup 100 proto static",
            "from all oif net1 lookup 100 proto static",
        ]


def test_removed_rules_leave_the_others(setup_pod: SetupPod) -> None:
    """Those of somebody else, be they the same; and those that only resemble."""
    others = (
        "rule add from 192.0.2.0/24 table 100 priority 41",
        "rule add from 192.0.2.0/24 iif net1 table 100 proto static priority 42",
        "rule add not from 192.0.2.0/24 table 100 proto static priority 43",
        "rule add from 192.0.2.0/24 tos 0x10 table 100 proto static priority 44",
        "rule add from 192.0.2.0/24 table 100 suppress_prefixlength 0 proto static priority 45",
        "rule add from 192.0.2.0/25 table 100 proto static priority 46",
        "rule add from 192.0.2.0/24 table 101 proto static priority 47",
        "rule add from 192.0.2.0/24 prohibit proto static priority 48",
        "rule add from 192.0.2.0/24 ipproto tcp table 100 proto static priority 49",
    )
    for command in others[1:]:
        setup_pod.net.ip(command)
    before = setup_pod.facts()
    setup_pod.act(set_rules, Setup(rules=RULES))
    assert len(shown(setup_pod)) == len(others) - 1 + len(RULES)
    for _ in range(2):
        setup_pod.net.call(remove_rules, RULES)
        assert setup_pod.facts() == before
    setup_pod.net.ip(others[0])
    before = setup_pod.facts()
    setup_pod.act(set_rules, Setup(rules=RULES[:1]))
    setup_pod.net.call(remove_rules, RULES[:1])
    assert setup_pod.facts() == before


def test_what_others_ask_for_stays(setup_pod: SetupPod) -> None:
    """Until nobody does: a rule goes with the last of those that ask for it, whichever words they have for it."""
    own = (RULES[0], RULES[2])
    others = (RuleSetup(source="192.0.2.0/24", table=100, priority=50), RULES[6])
    setup_pod.act(set_rules, Setup(rules=own))
    setup_pod.act(set_rules, Setup(rules=others))
    setup_pod.net.call(remove_rules, own, others)
    assert shown(setup_pod) == [
        "50: from 192.0.2.0/24 lookup 100 proto static",
        "from 2001:db8::/64 lookup 100 proto static",
    ]
    setup_pod.net.call(remove_rules, others, own)
    assert shown(setup_pod) == ["50: from 192.0.2.0/24 lookup 100 proto static"]
    setup_pod.net.call(remove_rules, own)
    assert shown(setup_pod) == []


def test_a_rule_that_is_refused(setup_pod: SetupPod) -> None:
    """It is told as the annotation has it."""
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(set_rules, Setup(rules=(RuleSetup(source="192.0.2.0/24", iif="n" * 20, table=7, priority=9),)))
    assert str(refusal.value).startswith(
        "cannot add rule from 192.0.2.0/24 iif nnnnnnnnnnnnnnnnnnnn table 7 priority 9 for net1: "
    )


def test_a_kernel_without_rules_of_a_family(setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are none to remove; to add one is refused in words."""
    real_dump, real_change = Rtnl.dump, Rtnl.change

    def dump(rtnl: Rtnl, action: str, kind: int, payload: bytes) -> list[bytes]:
        if kind == RTM_GETRULE:
            raise KernelError(action=action, errno=97)
        return real_dump(rtnl, action, kind, payload)

    def change(rtnl: Rtnl, action: str, kind: int, payload: bytes, flags: int = 0) -> None:
        del rtnl, kind, payload, flags
        raise KernelError(action=action, errno=97)

    monkeypatch.setattr(Rtnl, "dump", dump)
    monkeypatch.setattr(Rtnl, "change", change)
    setup_pod.net.call(remove_rules, RULES)
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(set_rules, Setup(rules=RULES[-2:-1]))
    monkeypatch.setattr(Rtnl, "change", real_change)
    assert str(refusal.value) == (
        "cannot add rule from 2001:db8::/64 table 100 for net1: this kernel has no routing rules for its family "
        "(EAFNOSUPPORT)"
    )
