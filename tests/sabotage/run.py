"""Runs `python -m tests.sabotage` for a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import tools


def sabotage(*arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run it; skips the test, or in CI fails it, where it cannot run."""
    missing = tools.missing(tools.SABOTAGE)
    if missing:
        reason = f"NOT SABOTAGED: needs {', '.join(missing)}; run: make e2e-tools"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    command = [sys.executable, "-m", "tests.sabotage", *arguments]
    top = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s, cwd=top)
