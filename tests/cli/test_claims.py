"""`nri-netdev claims`: what is held, and where it is now."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.shells.store.ledger import Ledger
from tests.cli.conftest import claim_at_home, in_net, run
from tests.shells.conftest import Net
from tests.shells.store.test_ledger import claim


def test_where_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even a state directory is made."""
    assert run("claims", "--json", "--state-dir", tmp_path / "state", capsys=capsys) == (0, "[]\n", "")
    assert not (tmp_path / "state").exists()


def test_a_damaged_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is an error that says what to do."""
    (tmp_path / "ledger.db").write_bytes(b"rubbish" * 1000)
    status, _, err = run("claims", "--state-dir", tmp_path, capsys=capsys)
    assert status == 1
    assert "move the file away" in err


def test_again_until_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--watch`, once a second; the exit status is that of an interrupt."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("nri_netdev.cli.claims.time.sleep", sleep)
    status, out, _ = run("claims", "--json", "--watch", "--state-dir", tmp_path, capsys=capsys)
    assert status == 130
    assert out == "[]\n\n[]\n"
    assert pauses == [1, 1]


@pytest.mark.root
def test_what_is_held(home: Net, tmp_path: Path) -> None:
    """Each with its holder and its place, for people and for programs; what is only prepared is not held."""
    home.ip("link add ens1 type veth peer name ens2")
    held = claim_at_home(home, "ens1")
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[held, replace(claim(987654), state=State.PREPARED)])
    options = ("--state-dir", tmp_path, "--run-dir", tmp_path / "run")
    [row] = json.loads(in_net(home, "claims", "--json", *options).stdout)
    assert (row["ifname"], row["claim"], row["place"]) == ("ens1", held.mark, "host")
    assert row["holder"] == "pod default/web, container app"
    table = in_net(home, "claims", *options).stdout.splitlines()
    assert len(table) == 2
    assert table[1].startswith("ens1       returning  pod default/web, container app")


@pytest.mark.root
@pytest.mark.parametrize("name", [b"a\xffb", b"a\x1b[31mb"])
def test_a_name_of_any_bytes(home: Net, tmp_path: Path, name: bytes) -> None:
    """As a container may give one: it is escaped for people, and what it is for programs."""
    home.ip("link add ens1 type veth peer name ens2")
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[claim_at_home(home, "ens1")])
    command = [b"nsenter", f"--net={home.path}", b"ip", b"link", b"set", b"ens1", b"name", name]
    subprocess.run(command, check=True)
    options = ("--state-dir", tmp_path, "--run-dir", tmp_path / "run")
    shown = in_net(home, "claims", *options)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert r"a\udcffb" in shown.stdout or r"a\x1b[31mb" in shown.stdout
    assert shown.stdout.replace("\n", "").isprintable()
    [row] = json.loads(in_net(home, "claims", "--json", *options).stdout)
    assert row["ifname_now"] == name.decode(errors="surrogateescape")
