"""What happens together is one notice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.events.groups import TOGETHER_S, Groups, Occurrence
from nri_netdev.shells.observe.listener import LogEvent
from tests.events.logged import POD, START_S, logged


def all_of(*events: LogEvent) -> list[Occurrence]:
    groups = Groups()
    occurrences = [occurrence for event in events for occurrence in groups.add(event)]
    return [*occurrences, *groups.closed(float("inf"))]


def test_the_interfaces_of_a_container() -> None:
    """One notice, of the time of the last; each pod and each kind of event has its own."""
    other = replace(POD, name="db", uid="u2")
    occurrences = all_of(
        logged("claim.arrived", 0.0, ifname="nic0", inside="net1"),
        logged("claim.arrived", 0.1, ifname="nic1", inside="nic1"),
        logged("claim.arrived", 0.2, pod=other, ifname="nic2", inside="nic2"),
        logged("claim.trouble", 0.3, ifname="nic3", state="lost", trouble="x"),
        logged("claim.trouble", 0.3, ifname="nic3", state="lost", trouble="y"),
    )
    assert [(one.notice.pod.name, one.notice.message, round(one.at_s - START_S, 1)) for one in occurrences] == [
        ("web", "in the pod: nic0 as net1, nic1", 0.1),
        ("db", "in the pod: nic2", 0.2),
        ("web", "nic3: x", 0.3),
        ("web", "nic3: y", 0.3),
    ]


def test_no_longer_than_a_moment() -> None:
    """Whatever comes later is another notice, and what is complete is given as soon as it is."""
    groups = Groups()
    assert list(groups.add(logged("claim.home", 0.0, ifname="nic0"))) == []
    assert list(groups.closed(START_S + TOGETHER_S - 0.1)) == []
    (first,) = groups.add(logged("claim.home", TOGETHER_S, ifname="nic1"))
    (second,) = groups.closed(START_S + 2 * TOGETHER_S)
    assert [first.notice.message, second.notice.message] == [
        "back on the node, as before: nic0",
        "back on the node, as before: nic1",
    ]


def test_what_is_no_notice() -> None:
    """Is passed over."""
    assert all_of(logged("claim.promised", ifname="nic0"), logged("claim.home")) == []


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["nic0", "nic1", "nic2"]))), st.lists(st.integers(0, 9)))
def test_heard_at_any_time(times: list[tuple[float, str]], pauses: list[int]) -> None:
    """The same events make the same notices whether they are heard as they happen or all at once, later."""
    events = [logged("claim.home", at_s, ifname=ifname) for at_s, ifname in sorted(times)]
    at_once = all_of(*events)
    groups, live = Groups(), []
    for number, event in enumerate(events):
        if number in pauses:
            live += groups.closed(event.at_s)
        live += groups.add(event)
    live += groups.closed(float("inf"))
    assert live == at_once
