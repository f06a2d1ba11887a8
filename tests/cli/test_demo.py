"""The demonstration, as root and without, with an OCI runtime and without, to its end and interrupted at any moment."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import nri_netdev
from nri_netdev.cli import demo
from nri_netdev.testing.runtime import find_runtimes
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.root

COMMAND = (sys.executable, "-m", "nri_netdev", "demo")
PROJECT = Path(nri_netdev.__file__).parents[1]
NOBODY = 65534


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("THE DEMONSTRATION IS NOT TESTED: needs root")


@pytest.fixture
def oci_runtime(tmp_path: Path) -> str:
    """An OCI runtime that the demonstration will find."""
    found = next(find_runtimes(tmp_path, (demo._TOOLS,)), None)
    if found is None:
        reason = "THE DEMONSTRATION IS NOT TESTED WITH AN OCI RUNTIME: none has linux.netDevices; run: make e2e-tools"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found.name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the demonstration makes its directory; anybody may."""
    place = Path("/tmp") / f"test-demo-{os.getpid()}-{tmp_path.name}"
    place.mkdir()
    place.chmod(0o777)
    return place


@pytest.fixture(autouse=True)
def _nothing_is_left(place: Path) -> Iterator[None]:
    """No directory, no cgroup, no process."""
    yield
    wait_until(lambda: not processes(place), timeout_s=10, what=lambda: f"end of {processes(place)}")
    assert cgroups() == []
    place.rmdir()


def cgroups() -> list[Path]:
    return [found for pattern in ("", "*/") for found in Path("/sys/fs/cgroup").glob(f"{pattern}nri-netdev-demo-*")]


def processes(place: Path) -> list[str]:
    """The processes that were told of a directory; the container's own is not, and cannot outlive the others."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            told = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            if bytes(place) in told:
                found.append((entry / "cmdline").read_text())
    return found


def start(place: Path, *arguments: str, ignored: str = "") -> subprocess.Popen[str]:
    """The demonstration, in a session of its own, with a signal ignored or none."""
    shell = ["sh", "-c", f'trap "" {ignored}; exec "$@"', "sh"] if ignored else []
    return subprocess.Popen(
        [*shell, *COMMAND, *arguments],
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def assert_told(out: str) -> None:
    """Seven steps; the interface is on the host, then in the container with all it had, then home as it was."""
    parts = re.split(r"^[1-7]\. (.*)$", out, flags=re.MULTILINE)
    below = dict(zip([re.split(" - |, ", title)[0] for title in parts[1::2]], parts[2::2], strict=True))
    assert list(below) == [
        "Make a bundle",
        "Make a host interface",
        "Make a network namespace",
        "Patch config.json",
        "Run",
        "Look inside",
        "Clean up",
    ]
    [home] = re.findall(
        r"host +ens9 +up +(\S+  mtu 1500  192\.0\.2\.10/24  2001:db8::10/64)", below["Make a host interface"]
    )
    assert 'netDevices {"ens9": {"name": "net1"}}' in below["Patch config.json"]
    inside = re.sub(" +", " ", below["Look inside"])
    assert f"host (nothing but lo)\n container net1 up {re.sub(' +', ' ', home)}\n" in inside
    assert re.search(rf"host +ens9 +up +{home}\n +pod +\(nothing but lo\)\n", below["Clean up"])
    assert out.endswith("\nens9 is home, as it was.\n")


def test_with_an_oci_runtime(place: Path, oci_runtime: str) -> None:
    """As root; it says which one."""
    status, out, err = finished(start(place))
    assert (status, err) == (0, "")
    assert f"to be run by {oci_runtime}\n" in out
    assert_told(out)


def test_without_an_oci_runtime(place: Path) -> None:
    """A mover with the same semantics does it."""
    status, out, err = finished(start(place, "--runtime", "built-in"))
    assert (status, err) == (0, "")
    assert "to be run by the built-in mover\n" in out
    assert_told(out)


def test_a_runtime_that_is_not_there(place: Path) -> None:
    """No demonstration, and the reason."""
    status, out, err = finished(start(place, "--runtime", "nonsense"))
    assert (status, out) == (1, "")
    assert err == (
        "nri-netdev: the demo failed: nonsense is not a runtime that says it has linux.netDevices "
        "(`nonsense features`)\n"
    )


def test_without_root(place: Path) -> None:
    """In a user namespace; an OCI runtime that refuses to move anything there is told of, and stood in for."""
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    probe = subprocess.run([*command, "unshare", "--user", "--net", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"THE DEMONSTRATION IS NOT TESTED WITHOUT ROOT: {probe.stderr.decode().strip()}")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _within_reach(), "sh", *command, *COMMAND],
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    is_stood_in = done.stdout.startswith("(")
    assert is_stood_in == ("; a mover that does the same stands in for it)\n" in done.stdout)
    assert is_stood_in == ("to be run by the built-in mover\n" in done.stdout)
    assert_told(done.stdout)


def _within_reach() -> str:
    """Shell commands that, in a mount namespace of one's own, let anybody reach this Python and the project."""
    needed = {Path(sys.base_prefix), Path(sys.prefix), PROJECT}
    closed = {
        next((above for above in reversed(path.parents) if not above.stat().st_mode & 0o001), None) for path in needed
    } - {None}
    lines = ["set -eu", "mount -t tmpfs -o mode=755 tmpfs /mnt"]
    for number, path in enumerate(needed):
        lines += [f"mkdir /mnt/{number}", f"mount --rbind {shlex.quote(str(path))} /mnt/{number}"]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(path))}" for path in closed]
    for number, path in enumerate(needed):
        if closed & set(path.parents):
            lines += [f"mkdir -p {shlex.quote(str(path))}", f"mount --rbind /mnt/{number} {shlex.quote(str(path))}"]
    return "\n".join([*lines, 'exec "$@"'])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["begin", "1.", "2.", "3.", "4.", "5.", "6."])
def test_interrupted(place: Path, oci_runtime: str, moment: str, number: signal.Signals) -> None:
    """At any moment: it says so in one line, and leaves nothing."""
    process = start(place)
    _wait_moment(process, place, moment)
    os.killpg(process.pid, number)  # as a terminal does
    status, out, err = finished(process)
    assert err == ""
    assert status == 130
    assert out.endswith("Interrupted; nothing is left behind.\n")


def test_what_is_ignored_at_the_start_stays_ignored(place: Path) -> None:
    """Under nohup, the demonstration plays to its end when the terminal is closed."""
    process = start(place, "--runtime", "built-in", ignored="HUP")
    _wait_moment(process, place, "1.")
    os.killpg(process.pid, signal.SIGHUP)
    status, out, err = finished(process)
    assert (status, err) == (0, "")
    assert out.endswith("\nens9 is home, as it was.\n")


@pytest.mark.parametrize("moment", ["begin", "4.", "5.", "6."])
def test_killed(place: Path, oci_runtime: str, moment: str) -> None:
    """Outright, with or without a container: nothing stays."""
    process = start(place)
    _wait_moment(process, place, moment)
    process.kill()
    finished(process)


def test_interrupted_twice(place: Path) -> None:
    """Impatience breaks nothing."""
    process = start(place)
    _wait_moment(process, place, "6.")
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
    assert finished(process)[0] == 130


def _wait_moment(process: subprocess.Popen[str], place: Path, moment: str) -> None:
    """Wait until a step begins, or until the directory is there."""
    if moment == "begin":
        wait_until(lambda: any(place.iterdir()), timeout_s=20, what="a directory")
        return
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(moment):
            return
    raise AssertionError(f"step {moment} never began: {finished(process)}")
