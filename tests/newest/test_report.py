"""The report: what broke comes first, and nothing that broke is lost."""

import pytest

from tests.newest import report
from tests.newest.pins import Version
from tests.newest.report import Outcome

ROW = "| containerd 2.4.2 | 0.12.3 | runc 1.5.3 | yes | 2 | 0 |"
WELL = f"""..  [100%]
=== engines and OCI runtimes ===
| engine | NRI | OCI runtime | moves interfaces by itself | passed | failed |
|---|---|---|---|---|---|
{ROW}
2 passed, 41 deselected in 4.00s
"""
ILL = """.F
=== short test summary info ===
FAILED tests/e2e/test_arrival.py::test_one[containerd+runc] - AssertionError: no net1
ERROR tests/e2e/test_arrival.py::test_two[containerd+runc] - fixture
1 failed, 1 passed, 1 error in 264.00s (0:04:23)
"""


def test_all_is_well() -> None:
    """The row of the engine and the counts are read."""
    outcome = report.of_pytest("containerd+runc", WELL, 0)

    assert outcome == Outcome(what="containerd+runc", row=ROW, counts="2 passed, 41 deselected in 4.00s")
    assert report.text([], [outcome]).startswith("Nothing broke.")


def test_what_failed() -> None:
    """Each test that failed is named, with its reason."""
    outcome = report.of_pytest("containerd+runc", ILL, 1)

    assert report.broke([], [outcome]) == [
        "containerd+runc: tests/e2e/test_arrival.py::test_one[containerd+runc] - AssertionError: no net1",
        "containerd+runc: tests/e2e/test_arrival.py::test_two[containerd+runc] - fixture",
    ]
    assert outcome.counts == "1 failed, 1 passed, 1 error in 264.00s"


@pytest.mark.parametrize("status", [2, 5, -9])
def test_pytest_that_says_nothing(status: int) -> None:
    """No test that failed and a bad status is a failure all the same."""
    [line] = report.broke([], [report.of_pytest("x", "ImportError: cannot import", status)])

    assert line == f"x: pytest ended with status {status}: ImportError: cannot import"


def test_order() -> None:
    """What broke, what was not tried, versions, engines, counts."""
    versions = [
        Version(part="runc", pinned="v1.5.3", newest="v1.6.0", wrong="go get failed"),
        Version(part="CRI-O", pinned="v1.36.3", newest="", wrong="the proxy has no list"),
        Version(part="pyroute2", pinned="<0.10", newest="0.9.7", note="0.10.1 is not allowed"),
    ]
    outcomes = [report.of_pytest("a", WELL, 0), Outcome(what="b", not_tried="no cargo"), report.of_pytest("c", ILL, 1)]

    lines = report.text(versions, outcomes).splitlines()

    assert lines[:3] == ["WHAT BROKE", "runc v1.6.0: go get failed", f"c: {outcomes[2].broke[0]}"]
    assert lines[5:8] == ["NOT TRIED", "newer than CRI-O v1.36.3: the proxy has no list", "b: no cargo"]
    assert "| pyroute2 | <0.10 | 0.9.7; 0.10.1 is not allowed |" in lines
    assert "| CRI-O | v1.36.3 | v1.36.3 |" in lines
    assert lines.index(ROW) < lines.index("a: 2 passed, 41 deselected in 4.00s")
