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
