"""The texts of errors, and the reasons of refusals."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.errors import KernelError, NriNetdevError, PeerError, PluginError, Reason, StateError, refusal_for


def test_the_first_reason_counts() -> None:
    """In the order of their definition."""
    assert Reason.first([Reason.OTHER, Reason.HELD, Reason.POOL]) is Reason.HELD
    assert Reason.first(iter([Reason.ANNOTATION])) is Reason.ANNOTATION
    assert [Reason.first([reason, other]) for reason, other in zip(Reason, list(Reason)[1:], strict=False)] == [
        *Reason
    ][:-1]


def test_a_hint_follows_the_problem() -> None:
    """In one sentence."""
    assert str(StateError("cannot open it", hint="make room")) == "cannot open it; make room"
    assert str(StateError("cannot open it")) == "cannot open it"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StateError("cannot write the ledger", hint="make room"), Reason.LEDGER),
        (KernelError(action="enter a network namespace", errno=errno.EPERM, refusal=Reason.POD), Reason.POD),
        (KernelError(action="read interface 7", errno=errno.ENODEV, reason="network namespace"), Reason.OTHER),
        (PluginError(plugin="host-local", command="ADD", reason="no more"), Reason.ARRIVAL),
        (PeerError("x"), Reason.OTHER),
    ],
)
def test_a_refusal_because_of_another_error(error: NriNetdevError, reason: Reason) -> None:
    """It has the words of that error, unless it is given its own."""
    refusal = refusal_for(error)
    assert (str(refusal), refusal.reason) == (str(error), reason)
    assert str(refusal_for(error, "b")) == "b"
    assert refusal_for(error, "b").reason is reason
