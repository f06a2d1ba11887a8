"""Problems of a request, as the engine passes them on to the pod's events, and the reason that metrics count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.request import parse
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.problem import Problem, refusal, summary
from nri_netdev.errors import Reason

OWN = "nri-netdev.io/container.app"
POD = "nri-netdev.io/pod"


def test_problems_are_joined_in_one_line() -> None:
    """Each with its place; a hint follows once, after all."""
    problems = [
        Problem(
            key=OWN,
            entry=2,
            message='interface "ens9" is not on this node',
            hint="Present and free: ens2f0, ens2f1.",
        ),
        Problem(key=OWN, entry=3, message="other", hint="Present and free: ens2f0, ens2f1."),
    ]
    assert str(problems[0]) == (
        'interface "ens9" is not on this node (annotation nri-netdev.io/container.app, entry 2). '
        "Present and free: ens2f0, ens2f1."
    )
    assert summary(problems[:1]) == str(problems[0])
    assert summary(problems) == (
        f'interface "ens9" is not on this node (annotation {OWN}, entry 2); other (annotation {OWN}, entry 3). '
        "Present and free: ens2f0, ens2f1."
    )


def test_the_number_told_is_bounded() -> None:
    """Eight in full, and how many more there are."""
    problems = parse({OWN: "- x: y\n" * MAX_INTERFACES}, container="app").problems
    text = summary(problems)
    assert text.count("unknown field") == 8
    assert text.endswith("; and 56 more")
    assert summary([]) == ""


@given(st.text(), st.text(), st.text())
def test_it_is_one_printable_line_whatever_was_written(key: str, field: str, value: str) -> None:
    """No annotation can forge a line in a log."""
    text = summary(
        [Problem(key=key, field=field, message="m"), *parse({OWN: value, POD: value}, container="app").problems]
    )
    assert text.isprintable()
    assert len(text) < 9 * 600


def test_a_refusal_has_the_reason_that_comes_first() -> None:
    """In the order of `Reason`, not of the problems; the text is that of all problems."""
    problems = [
        Problem(key=OWN, message="a"),
        Problem(key=OWN, message="b", reason=Reason.HELD),
        Problem(key=OWN, message="c", reason=Reason.POOL),
    ]
    error = refusal(problems)
    assert str(error) == summary(problems)
    assert error.reason is Reason.HELD
    assert refusal(problems[:1]).reason is Reason.ANNOTATION
