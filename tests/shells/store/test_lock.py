"""One daemon serves a state directory, the others wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nri_netdev.shells.store.lock import Lock


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """The second is told who has the lock, and gets it when that process is gone, however it went."""
    code = "import sys, time; from pathlib import Path; from nri_netdev.shells.store.lock import Lock\n"
    code += "lock = Lock(Path(sys.argv[1])); print(lock.take(), flush=True); time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "None\n"
    lock = Lock(tmp_path)
    assert lock.take() == owner.pid
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert lock.take() is None
    lock.close()


def test_shared_by_some(tmp_path: Path) -> None:
    """Who shares a lock is seen by who does not, as long as they do; to look changes nothing."""
    one, two, other = (Lock(tmp_path, "standby") for _ in range(3))
    assert not other.is_shared()
    one.share()
    two.share()
    assert other.is_shared()
    one.release()
    assert other.is_shared()
    two.close()
    assert not other.is_shared()
    one.share()
    assert other.is_shared()
    one.close()
    other.close()


def test_taken_by_one(tmp_path: Path) -> None:
    """A lock that is taken is seen to be so until it is let go of, and may be had again."""
    one, other = (Lock(tmp_path, "answering") for _ in range(2))
    assert not other.is_taken()
    one.take_soon()
    one.take_soon()
    assert other.is_taken()
    one.release()
    assert not other.is_taken()
    other.take_soon()
    assert one.is_taken()
    one.close()
    other.close()
