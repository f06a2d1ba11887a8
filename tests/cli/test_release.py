"""`nri-netdev release`: by itself where no daemon serves, else by the daemon that does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.cli import release
from nri_netdev.domain.claim import State
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from tests.cli.conftest import claim_at_home, in_net, run
from tests.shells.conftest import Net
from tests.shells.store.test_ledger import claim


def test_it_needs_to_know_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All or some, and only what somebody holds."""
    for arguments in ((), ("--all", "ens1")):
        assert run("release", *arguments, "--state-dir", tmp_path, capsys=capsys)[0] == 2
    status, _, err = run("release", "ens7", "--yes", "--state-dir", tmp_path, capsys=capsys)
    assert status == 1
    assert "nobody holds ens7" in err


def test_where_nothing_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is done, and not even a state directory is made; what is only prepared is not held."""
    arguments = ("release", "--all", "--yes", "--state-dir")
    assert run(*arguments, tmp_path / "state", capsys=capsys) == (0, "Nothing is held.\n", "")
    assert not (tmp_path / "state").exists()
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[replace(claim(), state=State.PREPARED)])
    assert run(*arguments, tmp_path, capsys=capsys) == (0, "Nothing is held.\n", "")


def test_a_damaged_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is an error that says what to do."""
    (tmp_path / "ledger.db").write_bytes(b"rubbish" * 1000)
    status, _, err = run("release", "--all", "--yes", "--state-dir", tmp_path, capsys=capsys)
    assert status == 1
    assert "move the file away" in err


@pytest.mark.root
def test_without_a_daemon(home: Net, tmp_path: Path) -> None:
    """Brought home by force once somebody agrees, and gone from the ledger."""
    home.ip("link add ens1 type veth peer name ens2")
    held = claim_at_home(home, "ens1")
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[held])
    options = ("--state-dir", tmp_path, "--run-dir", tmp_path / "run")
    unanswered = in_net(home, "release", "ens1", *options)
    assert unanswered.returncode == 1
    assert unanswered.stderr == "nobody answers; say --yes\n"
    done = in_net(home, "release", "ens1", "--yes", *options)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ens1: released")
    with Ledger(tmp_path) as ledger:
        assert ledger.claims() == ()
    assert held.mark not in home.link("ens1").altnames


class Daemon:
    """What has the lock of a state directory, and does what the ledger asks for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._over = threading.Event()

    def serve(self) -> None:
        """Drop each claim that is to be released."""
        with Ledger(self._directory) as ledger:
            while not self._over.wait(0.01):
                asked = ledger.releases()
                ledger.write(drop=[one for one in ledger.claims() if one.mark in asked])

    def during(self, action: Callable[[], tuple[int, str, str]]) -> tuple[int, str, str]:
        """Serve while something is done."""
        thread = threading.Thread(target=self.serve)
        thread.start()
        try:
            return action()
        finally:
            self._over.set()
            thread.join()


def test_by_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked for one claim by its id, and brings home that one."""
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[claim(1), claim(2)])
    with closing(Lock(tmp_path)) as lock:
        assert lock.take() is None
        arguments = ("release", claim(1).mark, "--yes", "--state-dir", tmp_path)
        status, out, err = Daemon(tmp_path).during(lambda: run(*arguments, capsys=capsys))
    assert (status, err) == (0, "")
    assert out.splitlines() == ["ens1: held, pod default/web, container app", "ens1: released"]
    with Ledger(tmp_path) as ledger:
        assert [one.ifname for one in ledger.claims()] == ["ens2"]


def test_a_name_of_any_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an interface has it that came home from a pod by the kernel: it is escaped."""
    odd = claim(1)
    link = replace(odd.snapshot.link, ifname="a\x1b[2Jb")
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[replace(odd, snapshot=replace(odd.snapshot, link=link))])
    with closing(Lock(tmp_path)) as lock:
        assert lock.take() is None
        arguments = ("release", "--all", "--yes", "--state-dir", tmp_path)
        _, out, _ = Daemon(tmp_path).during(lambda: run(*arguments, capsys=capsys))
    assert out.splitlines() == [r"a\x1b[2Jb: held, pod default/web, container app", r"a\x1b[2Jb: released"]


def test_a_daemon_that_takes_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said which interface is not home yet, and who has it in hand; the daemon keeps the request."""
    monkeypatch.setattr(release, "WAIT_S", 0.0)
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[claim()])
    with closing(Lock(tmp_path)) as lock:
        assert lock.take() is None
        status, _, err = run("release", "--all", "--yes", "--state-dir", tmp_path, capsys=capsys)
    assert status == 1
    assert err.startswith("ens1: not yet; the daemon (process ")
    with Ledger(tmp_path) as ledger:
        assert ledger.releases() == {claim().mark}
