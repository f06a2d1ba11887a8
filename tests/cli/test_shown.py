"""Documents shown to people: the same page whether a command prints it here or it comes from another node."""

from __future__ import annotations

from dataclasses import asdict

from nri_netdev.cli.check import Check, CheckVerdict, page
from nri_netdev.cli.shown import CLAIMS, DEVICES, PAGES, TABLES, effects, examined, explained

CLAIM = {
    "ifname": "nic0",
    "share": None,
    "state": "held",
    "holder": "pod default/web, container app",
    "since_s": 100,
    "place": "pod",
    "ifname_now": "net1",
    "claim": "nri-netdev-1",
    "troubles": [],
}


def test_a_claim() -> None:
    """A share says of which kind it is; what is not known or not wrong is a dash."""
    assert CLAIMS.row(CLAIM, 160) == (
        *("nic0", "held", "pod default/web, container app", "1 min", "pod", "net1", "nri-netdev-1", "-"),
    )
    share = {**CLAIM, "share": "macvlan", "ifname_now": None, "troubles": ["a", "b"]}
    assert CLAIMS.row(share, 160)[0] == "nic0 (macvlan)"
    assert CLAIMS.row(share, 160)[-3:] == ("-", "nri-netdev-1", "a; b")


def test_a_device_that_is_away() -> None:
    """Has a name and a holder, and as many cells as the head."""
    row = DEVICES.row({"ifname": "nic0", "free": False, "why_not": "is held by pod a/b"}, 0)
    assert len(row) == len(DEVICES.head)
    assert (row[0], row[-1]) == ("nic0", "no: is held by pod a/b")
    assert {*row[1:-1]} == {"-"}


def test_effects() -> None:
    """A line each."""
    assert effects([{"ifname": "nic0", "effects": ["a", "b"]}, {"ifname": "nic1"}]) == ["nic0: a", "nic0: b"]


def test_explanations() -> None:
    """What is asked, then its rules, what decides, what is set, and what suffers."""
    one = {"pod": "web.yaml: Pod web", "container": "app", "asked": "entry 1", "steps": ["rule 1 speaks of it"]}
    one |= {"verdict": "would get nic0", "sets": ["mtu 9000", "a route"], "effects": ["its master is left"]}
    assert explained([one]).splitlines() == [
        "web.yaml: Pod web, container app, entry 1",
        "  rule 1 speaks of it",
        "  would get nic0",
        "  sets mtu 9000; a route",
        "  its master is left",
    ]
    assert explained([]) == "Nothing is asked for."


def test_checks() -> None:
    """As the doctor shows them itself."""
    checks = [Check(topic="kernel", found="6.12"), Check(topic="nri", found="none", verdict=CheckVerdict.CHANGE)]
    assert examined([asdict(check) for check in checks]) == page(checks)


def test_every_command_is_shown_in_one_way() -> None:
    """As a table or as a page."""
    assert not TABLES.keys() & PAGES.keys()
