"""Names that others rely on: events of the log, and the fault points at which tests end the daemon."""

from __future__ import annotations

import ast
import runpy

from tests.golden.store import DIRECTORY, stored

ROOT = DIRECTORY.parents[1]
PACKAGE = ROOT / "nri_netdev"


SCRIPT = runpy.run_path(str(ROOT / "docs" / "messages.py"))
"""Reads the source for the documentation."""


def events() -> list[str]:
    """The name of every event that is logged."""
    return sorted(SCRIPT["events"]())


def fault_points() -> list[str]:
    """The name of every fault point, the argument of each call of `step`, with `…` for what is not in the source."""
    return sorted(
        {
            SCRIPT["template"](node.args[0]) or "…"
            for path in PACKAGE.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and "step" in {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
            and node.args
        }
    )


def names() -> dict[str, list[str]]:
    """All of them."""
    return {"events": events(), "fault points": fault_points()}


def test_events() -> None:
    """The set of events in the log is the stored one."""
    assert events() == stored("names")["events"]


def test_fault_points() -> None:
    """The set of fault points is the stored one."""
    assert fault_points() == stored("names")["fault points"]
