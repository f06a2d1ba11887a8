"""Processes of the node: in which netns they are, whether they run, and how one is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.domain.claim import Netns
from nri_netdev.domain.policy.handlers import guest_among
from nri_netdev.shells.kernel.netns import OWN, netns_id
from nri_netdev.shells.kernel.processes import Processes, kill_in_netns
from tests.shells.conftest import Net


@pytest.fixture
def sleeper(pod: Net) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the pod's netns."""
    with subprocess.Popen(["nsenter", f"--net={pod.path}", "sleep", "600"]) as process:
        while netns_id(f"/proc/{process.pid}/ns/net") != netns_id(pod.fd):
            pass
        yield process
        process.kill()


def netns_of(net: Net) -> Netns:
    dev, ino = netns_id(net.fd)
    return Netns(path=net.path, dev=dev, ino=ino)


@pytest.mark.root
def test_a_netns_with_a_process_is_found(pod: Net, home: Net, sleeper: subprocess.Popen[bytes]) -> None:
    """Unless it is known already; one without a process is not."""
    processes, inside = Processes(), netns_of(pod)

    assert processes.has_processes(inside)
    assert not processes.has_processes(netns_of(home))
    assert f"/proc/{sleeper.pid}/ns/net" in processes.foreign_netns(())
    assert f"/proc/{sleeper.pid}/ns/net" not in processes.foreign_netns({inside.ino})


@pytest.mark.root
def test_only_a_process_in_the_netns_is_killed(pod: Net, home: Net, sleeper: subprocess.Popen[bytes]) -> None:
    """One that is dead already is dead."""
    assert not kill_in_netns(sleeper.pid, home.path)
    assert Processes().is_alive(sleeper.pid)
    assert kill_in_netns(sleeper.pid, pod.path)
    assert not Processes().is_alive(sleeper.pid)  # a zombie

    sleeper.wait()

    assert kill_in_netns(sleeper.pid, pod.path)


@pytest.fixture
def vmm(pod: Net, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the pod's netns whose program is called as that of a virtual machine."""
    program = tmp_path / "qemu-system-x86_64"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen(["nsenter", f"--net={pod.path}", program, "600"]) as process:
        while Path(f"/proc/{process.pid}/exe").readlink() != program:
            pass
        yield process
        process.kill()


@pytest.mark.root
def test_what_a_process_is_called(
    pod: Net, home: Net, vmm: subprocess.Popen[bytes], sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """By its program's file, though that is replaced meanwhile, and by what it calls itself; in its netns only."""
    processes, inside = Processes(), netns_of(pod)
    names = processes.names(vmm.pid, inside)
    assert names == {"qemu-system-x86_64", "qemu-system-x86"}
    assert guest_among(names) is not None
    (tmp_path / "qemu-system-x86_64").unlink()
    assert processes.names(vmm.pid, inside) == names
    assert guest_among(processes.names(sleeper.pid, inside)) is None
    assert processes.names(vmm.pid, netns_of(home)) == frozenset()
    assert processes.names(0, inside) == processes.names(-1, inside) == frozenset()
    vmm.kill()
    vmm.wait()
    assert processes.names(vmm.pid, inside) == frozenset()


def test_what_is_alive() -> None:
    """This process; no other number."""
    assert Processes().is_alive(os.getpid())
    assert not Processes().is_alive(0)
    assert not Processes().is_alive(-1)
    assert not Processes().is_alive(2**22 + 1)


def test_home_is_not_foreign() -> None:
    """The netns of this process is never among the foreign ones."""
    own = netns_id(OWN)
    for path in Processes().foreign_netns(()):
        try:
            assert netns_id(path) != own
        except OSError:
            continue  # the process has ended
