"""Children of tests can be interrupted, however pytest was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SIGNALS = (signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_child_does_not_ignore(number: signal.Signals) -> None:
    """A program that a test starts has the default action of a signal."""
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]

    assert not int(mask, 16) & 1 << (number - 1)


def test_nor_where_pytest_is_started_with_signals_ignored() -> None:
    """A run of pytest under nohup, or in the background of a script, passes the same test."""
    if os.environ.get("NRI_NETDEV_NESTED"):
        pytest.skip("this is that run")
    pytest_again = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", __file__]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *pytest_again],
        env=os.environ | {"NRI_NETDEV_NESTED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed, 1 skipped" in done.stdout
