"""Failures of libc and of the system are errors with an action and a number."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import libc


def test_a_failed_call_has_its_number() -> None:
    """And a call that succeeds returns nothing."""
    libc.call("close nothing", lambda: 0)
    with pytest.raises(KernelError, match="close descriptor -1") as failure:
        libc.call("close descriptor -1", libc.LIBC.close, -1)
    assert failure.value.errno == errno.EBADF


def test_a_mount_that_is_refused_says_what_was_tried(tmp_path: Path) -> None:
    """Whether root asks or not."""
    with pytest.raises(KernelError, match="mount it there"):
        libc.bind_mount("mount it there", tmp_path / "nothing", tmp_path / "gone")


def test_system_errors_are_translated() -> None:
    """One without a number is an I/O error; other exceptions pass."""
    with pytest.raises(KernelError, match="look") as failure, libc.translated("look"):
        Path("/nothing/here").stat()
    assert failure.value.errno == errno.ENOENT
    with pytest.raises(KernelError) as failure, libc.translated("look"):
        raise OSError("of no number")
    assert failure.value.errno == errno.EIO
    with pytest.raises(ZeroDivisionError), libc.translated("look"):
        _ = 1 // 0
