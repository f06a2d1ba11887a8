"""How findings are printed."""

from __future__ import annotations

from nri_netdev.cli.check import Check, CheckVerdict, page


def test_the_page() -> None:
    """Columns are aligned, and advice stands below what was found."""
    checks = (
        Check(topic="kernel", found="it works"),
        Check(topic="engine config", found="it is off", verdict=CheckVerdict.CHANGE, advice="write\n  disable = false"),
    )
    assert page(checks).splitlines() == [
        "ok      kernel         it works",
        "change  engine config  it is off",
        "                       write",
        "                         disable = false",
    ]
