"""A stand-in for a machine: namespaces of its own, in which an engine and the daemon run as on a node.

Its network namespace is what the daemon takes for the host's, its process 1 what the daemon finds as
`/proc/1`; `/run`, `/etc`, `/opt`, `/var/lib` and `/var/log` are private. Nothing in it reaches the
interfaces, mounts or processes of the real machine, and nothing outlives it: when the test process ends,
however it ends, the kernel kills all that runs inside.
"""

import contextlib
import ctypes
import itertools
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.e2e import tools

_SCRIPT = Path(__file__).with_name("machine.sh")
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_PARENT = "nri-netdev-e2e"
_CLONE_NEWPID = 0x20000000  # linux/sched.h
_KINDS = ("pid", "mnt", "net")
_NAMESPACES = ("--mount", "--net", "--uts", "--ipc")
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class CommandError(Exception):
    """A command inside the machine failed; carries its status and what it said."""

    def __init__(self, argv: Sequence[object], status: int, stderr: str) -> None:
        super().__init__(f"{' '.join(map(str, argv))}: status {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr


class Machine:
    """Namespaces of a stand-in machine, kept by a process 1 of its own.

    Attributes:
        pid: its process 1, as seen from outside.
        cgroup: parent cgroup for everything that its engine starts, as in a pod's `cgroup_parent`.
        directory: on the real machine, seen at the same path inside; for logs.
    """

    def __init__(self, directory: Path) -> None:
        sweep_cgroups()
        self.directory = directory
        self.cgroup = f"/{_CGROUP_PARENT}/{os.getpid()}-{next(_numbers)}"
        self._unshare = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", *_NAMESPACES, "sh", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if self._unshare.stdout.readline() != "ready\n":
            said = self._unshare.communicate()[1]
            raise CommandError(["sh", _SCRIPT.name], self._unshare.returncode, said)
        own = self._unshare.pid
        self.pid = int(Path(f"/proc/{own}/task/{own}/children").read_text())
        self._pidns_fd = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY)
        self._children: list[subprocess.Popen] = []
        self._files = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything inside and check that nothing is left of it; a second call does nothing."""
        if self._unshare.poll() is not None:
            return
        with contextlib.ExitStack() as held:  # while they are open no other namespace gets their inodes
            for kind in _KINDS:
                held.callback(os.close, os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY))
            inodes = _namespaces_of(self.pid)
            with self._unshare:
                self._unshare.stdin.close()
                for child in self._children:  # process 1 cannot end before its dead have been reaped
                    child.wait(timeout=30)
                self._unshare.wait(timeout=30)
            os.close(self._pidns_fd)
            self._remove_cgroups()
            assert [pid for pid in _pids() if inodes & _namespaces_of(pid)] == [], "processes outlived the machine"
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        assert [line for line in mounts if str(self.directory) in line] == [], "mounts outlived the machine"

    def popen(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen:
        """Start a program inside; takes the options of `subprocess.Popen`.

        The pid of the result is the program's own, as seen from outside, so it can be signalled.
        """
        environment = {**os.environ, "PATH": f"{tools.BIN}:{os.environ['PATH']}", **options.pop("env", {})}
        command = ["nsenter", f"--target={self.pid}", *_NAMESPACES, "--", *argv]
        with self._children_inside():
            child = subprocess.Popen(command, env=environment, start_new_session=True, **options)
        self._children = [child, *(known for known in self._children if known.returncode is None)]
        return child

    def run(
        self,
        *argv: str | Path,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        text_in: str = "",
    ) -> str:
        """Run a command inside and return its standard output.

        Raises:
            CommandError: its status is not 0.
            subprocess.TimeoutExpired: it took longer than `timeout_s`; it has been killed.
        """
        pipe = subprocess.PIPE
        with self.popen(argv, env=env or {}, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                stdout, stderr = process.communicate(text_in, timeout=timeout_s)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise CommandError(argv, process.returncode, stderr)
        return stdout

    def path(self, inside: str | Path) -> Path:
        """Return the path by which this process reaches a file, directory or socket inside."""
        # /var/run is an absolute symbolic link, which would lead outside.
        return Path(f"/proc/{self.pid}/root") / re.sub(r"^/var/run(?=/|$)", "/run", str(inside)).lstrip("/")

    def write(self, inside: str | Path, text: str) -> None:
        """Make a file inside, and its directories."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def new_file(self, stem: str, suffix: str) -> Path:
        """Return a path, the same inside and outside, at which there is no file yet."""
        return self.directory / f"{stem}-{next(self._files)}{suffix}"

    def processes(self) -> dict[int, str]:
        """Return the pids (as seen from outside) and command lines of the engine, its shims, the daemon …."""
        found = {}
        inode = _inode(f"/proc/{self.pid}/ns/pid")
        for pid in _pids():
            with contextlib.suppress(OSError):
                if pid != self.pid and _inode(f"/proc/{pid}/ns/pid") == inode:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                    found[pid] = line.replace(b"\0", b" ").decode().strip()
        return found

    def cgroups(self) -> list[str]:
        """Return what is below this machine's parent cgroup, in any hierarchy."""
        return [str(path) for top in self._cgroup_tops() for path in top.rglob("*") if path.is_dir()]

    @contextlib.contextmanager
    def _children_inside(self) -> Iterator[None]:
        """Let processes that this thread starts be born in the machine's PID namespace."""
        own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY)
        try:
            _setns(self._pidns_fd)
            try:
                yield
            finally:
                _setns(own)
        finally:
            os.close(own)

    def _cgroup_tops(self) -> list[Path]:
        return [top for pattern in ("", "*/") for top in _CGROUPS.glob(pattern + self.cgroup.lstrip("/"))]

    def _remove_cgroups(self) -> None:
        for top in self._cgroup_tops():
            _remove_cgroup(top)
            with contextlib.suppress(OSError):  # others may use it
                top.parent.rmdir()


def sweep_cgroups() -> None:
    """Remove the empty cgroups of test processes that were killed before they could."""
    for pattern in ("", "*/"):
        for top in _CGROUPS.glob(f"{pattern}{_CGROUP_PARENT}/*-*"):
            if not Path("/proc", top.name.partition("-")[0]).exists():
                _remove_cgroup(top)


def _remove_cgroup(top: Path) -> None:
    for path in sorted((path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True):
        path.rmdir()


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWPID):
        raise OSError(ctypes.get_errno(), "setns")


def _inode(path: str) -> int:
    return os.stat(path).st_ino  # noqa: PTH116 - a magic link, followed


def _namespaces_of(pid: int) -> set[int]:
    with contextlib.suppress(OSError):
        return {_inode(f"/proc/{pid}/ns/{kind}") for kind in _KINDS}
    return set()


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
