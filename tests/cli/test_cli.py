"""The command line as its users meet it: what it prints, and its exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nri_netdev import __version__, cli
from nri_netdev.domain.claim import State
from nri_netdev.shells.store.ledger import Ledger
from tests.shells.conftest import Net, home, nets, pod  # noqa: F401 - fixtures
from tests.shells.store.test_ledger import claim

POD = """
kind: Pod
metadata:
  name: web
  annotations: {nri-netdev.io/container.app: "[ens1]"}
spec: {containers: [{name: app}]}
"""

POLICY = """
pools:
  fast: [{interface: ens*, kind: veth}]
rules:
  - {name: shop, namespaces: [shop], pools: [fast]}
"""


def run(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def in_net(net: Net, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in a network namespace."""
    command = ["nsenter", f"--net={net.path}", sys.executable, "-m", "nri_netdev", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which one it is."""
    assert run("version", capsys=capsys) == (0, f"nri-netdev {__version__}\n", "")


def test_misuse_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    """No command, an unknown one, a lacking argument."""
    for arguments in ((), ("frobnicate",), ("validate",), ("release",)):
        status, out, err = run(*arguments, capsys=capsys)
        assert (status, out) == (2, "")
        assert "nri-netdev" in err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And each has help of its own."""
    _, out, _ = run("--help", capsys=capsys)
    for command in ("run", "devices", "claims", "release", "validate", "demo", "version"):
        assert f"    {command}" in out
        assert run(command, "--help", capsys=capsys)[0] == 0


def test_no_command_loads_what_it_does_not_need() -> None:
    """`validate` waits neither for pyroute2 nor for protobuf."""
    code = "import sys; from nri_netdev import cli; cli.main(['validate', '-']); "
    code += "print(sorted({'pyroute2', 'google.protobuf', 'sqlite3', 'asyncio', 'grpc'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], input=POD, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent and 0 when all is well; every finding and 1 otherwise; 2 for a file that is not there."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(POD)
    bad.write_text(f"---{POD}---{POD.replace('ens1', 'a/b')}")
    assert run("validate", good, capsys=capsys) == (0, "", "")
    status, out, _ = run("validate", good, bad, capsys=capsys)
    assert status == 1
    assert out.startswith(f"{bad}:2:nri-netdev.io/container.app:1: ")
    assert len(out.splitlines()) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO(POD))
    assert run("validate", "-", capsys=capsys)[0] == 0
    status, _, err = run("validate", tmp_path / "absent.yaml", capsys=capsys)
    assert status == 2
    assert "cannot read" in err


def test_a_bad_configuration_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, without a traceback, by whatever command reads it."""
    (tmp_path / "config.yaml").write_text("index: x")
    for command in ("run", "claims", "devices"):
        status, _, err = run(command, "--config", tmp_path / "config.yaml", capsys=capsys)
        assert status == 2
        assert 'index "x" is not two digits' in err
        assert "Traceback" not in err


def test_claims_where_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even a state directory is made by looking."""
    assert run("claims", "--json", "--state-dir", tmp_path / "state", capsys=capsys) == (0, "[]\n", "")
    assert run("release", "--all", "--yes", "--state-dir", tmp_path / "state", capsys=capsys)[:2] == (
        0,
        "Nothing is held.\n",
    )
    assert not (tmp_path / "state").exists()


def test_release_needs_to_know_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All or some, and only what somebody holds."""
    for arguments in ((), ("--all", "ens1")):
        assert run("release", *arguments, "--state-dir", tmp_path, capsys=capsys)[0] == 2
    status, _, err = run("release", "ens7", "--yes", "--state-dir", tmp_path, capsys=capsys)
    assert status == 1
    assert "nobody holds ens7" in err


def test_a_damaged_ledger_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By every command that reads it."""
    (tmp_path / "ledger.db").write_bytes(b"rubbish" * 1000)
    for command in (("claims",), ("release", "--all", "--yes")):
        status, _, err = run(*command, "--state-dir", tmp_path, capsys=capsys)
        assert status == 1
        assert "move the file away" in err


@pytest.mark.root
def test_devices(home: Net, tmp_path: Path) -> None:  # noqa: F811
    """Every interface with what it is, and whether it is free or why not; for people and for programs."""
    for command in (
        "link add br0 type bridge",
        "link add ens1 type veth peer name ens2",
        "link set ens2 master br0",
        "link set ens1 mtu 1400 up",
        "addr add 192.0.2.5/24 dev ens1",
    ):
        home.ip(command)
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n{POLICY}")
    options = ("--config", tmp_path / "config.yaml")
    done = in_net(home, "devices", *options)
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["NAME"].split() == "NAME KIND DRIVER PCI MAC MTU STATE MASTER ADDRESSES POOLS RULES FREE".split()  # noqa: SIM905
    assert lines["ens1"].endswith("yes")
    assert "192.0.2.5/24" in lines["ens1"]
    assert "no: is the loopback device" in lines["lo"]
    assert "no: " in lines["br0"]
    assert " br0 " in lines["ens2"]
    shown = {row["ifname"]: row for row in json.loads(in_net(home, "devices", "--json", *options).stdout)}
    assert shown["ens1"]["free"] is True
    assert (shown["ens1"]["pools"], shown["ens1"]["rules"]) == (["fast"], ['rule "shop"'])
    assert (shown["br0"]["pools"], shown["br0"]["rules"]) == ([], [])
    assert shown["ens1"]["mtu"] == 1400
    assert shown["ens1"]["addresses"][0] == "192.0.2.5/24"
    assert shown["ens2"]["master"] == "br0"
    assert shown["ens2"]["free"] is False


@pytest.mark.root
def test_claims_and_release_without_a_daemon(home: Net, tmp_path: Path) -> None:  # noqa: F811
    """What is held and where it is now; released by force, and gone from the ledger."""
    home.ip("link add ens1 type veth peer name ens2")
    index = home.link("ens1").ifindex
    mark = "nri-netdev-00000000000000aa"
    home.ip(f"link property add dev ens1 altname {mark}")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    held = claim(index, mark=mark, boot_id=boot_id, state=State.RETURNING, home_ifname=None, troubles=())
    snapshot = type(held.snapshot)(link=home.link("ens1"))
    with Ledger(tmp_path) as ledger:
        ledger.write(
            put=[type(held)(**{name: getattr(held, name) for name in held.__slots__} | {"snapshot": snapshot})]
        )
    options = ("--state-dir", tmp_path, "--run-dir", tmp_path / "run")
    [row] = json.loads(in_net(home, "claims", "--json", *options).stdout)
    assert row["ifname"] == "ens1"
    assert row["place"] == "host"
    assert row["holder"] == "pod default/web, container app"
    table = in_net(home, "claims", *options).stdout
    assert table.splitlines()[1].startswith("ens1       returning  pod default/web, container app")
    unanswered = in_net(home, "release", "ens1", *options)
    assert unanswered.returncode == 1
    assert unanswered.stderr == "nobody answers; say --yes\n"
    done = in_net(home, "release", "ens1", "--yes", *options)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ens1: released")
    with Ledger(tmp_path) as ledger:
        assert ledger.claims() == ()
    assert mark not in home.link("ens1").altnames


@pytest.mark.root
def test_explain(home: Net, tmp_path: Path) -> None:  # noqa: F811
    """For each entry what would happen, and which rule says so; the exit status tells whether all would be given."""
    home.ip("link add ens1 type veth peer name ens2")
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n{POLICY}")
    manifest = tmp_path / "pod.yaml"
    options = ("--config", tmp_path / "config.yaml", manifest)
    manifest.write_text(POD)
    refused = in_net(home, "explain", *options)
    assert refused.returncode == 1
    assert "entry 1: ens1" in refused.stdout.splitlines()[0]
    assert 'rule "shop" is for namespaces shop' in refused.stdout
    assert "A rule that would: {namespaces: [default], interfaces: [ens1]}" in refused.stdout
    manifest.write_text(POD.replace("name: web", "name: web\n  namespace: shop"))
    granted = in_net(home, "explain", *options)
    assert granted.returncode == 0, granted.stdout + granted.stderr
    assert "ens1" in granted.stdout.splitlines()[-1]
    [told] = json.loads(in_net(home, "explain", "--json", *options).stdout)
    assert told["is_granted"] is True


def test_validate_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem with its line; nothing when all is well."""
    path = tmp_path / "config.yaml"
    path.write_text(POLICY)
    assert run("validate", "--config", path, capsys=capsys) == (0, "", "")
    path.write_text("rules:\n  - {namespaces: [], pools: [nowhere]}\nindex: x\n")
    status, out, _ = run("validate", "--config", path, capsys=capsys)
    assert status == 1
    assert [line.split(":")[1] for line in out.splitlines()] == ["2", "2", "3"]
