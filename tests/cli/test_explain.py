"""`nri-netdev explain`: pods of manifests, in a network namespace, and pods of the engine."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from nri_netdev.cli import explain
from nri_netdev.domain.verdict.explain import Explanation
from nri_netdev.proto import nri_pb2
from nri_netdev.testing.engine import Engine
from tests.cli.conftest import POD, POLICY, in_net, run
from tests.shells.conftest import Net


@pytest.mark.root
def test_explain(home: Net, tmp_path: Path) -> None:
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
    assert told["effects"] == []


@pytest.mark.root
def test_what_does_not_come_along_is_told(home: Net, tmp_path: Path) -> None:
    """Whether the interface is given or refused."""
    home.ip("link add ens1 type veth peer name ens2")
    home.ip("addr add 192.0.2.6/24 dev ens1 valid_lft 3600 preferred_lft 3600")
    text = "ens1: its address 192.0.2.6/24 does not come along: leased or autoconfigured"
    for policy, status in ((POLICY, 0), ("", 1)):
        (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n{policy}")
        manifest = tmp_path / "pod.yaml"
        manifest.write_text(POD.replace("name: web", "name: web\n  namespace: shop"))
        options = ("--config", tmp_path / "config.yaml", manifest)

        told = in_net(home, "explain", *options)

        assert told.returncode == status
        assert told.stdout.splitlines()[-1] == f"  {text}"
        [explanation] = json.loads(in_net(home, "explain", "--json", *options).stdout)
        assert explanation["effects"] == [text]


def test_a_pod_of_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By namespace and name; one that the engine does not know is a no."""
    pod = nri_pb2.PodSandbox(id="p", name="web", namespace="shop", annotations={"nri-netdev.io/container.app": "[lo]"})
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nsocket: {tmp_path}/nri.sock\n")

    async def explained(name: str) -> tuple[int, str, str]:
        async with Engine(tmp_path / "nri.sock") as engine:
            await engine.run_pod_sandbox(pod)
            await engine.create_container(pod, nri_pb2.Container(id="c", pod_sandbox_id="p", name="app"))
            return await asyncio.to_thread(lambda: run("explain", "--pod", name, *options, capsys=capsys))

    options = ("--config", tmp_path / "config.yaml")
    status, out, err = asyncio.run(explained("shop/web"))
    assert (status, err) == (1, "")
    assert out.startswith("pod shop/web, container app, ")
    assert asyncio.run(explained("shop/none")) == (1, "", "nri-netdev: the engine knows no pod shop/none\n")


@pytest.mark.root
def test_a_guest_of_the_engine(home: Net, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The process of a pod that runs shows a virtual machine, whatever its runtime handler is called."""
    told = nri_pb2.PodSandbox(id="p", name="web", namespace="shop", annotations={"nri-netdev.io/container.app": "[lo]"})
    told.linux.namespaces.add(type="network", path=str(home.path))
    program = tmp_path / "cloud-hypervisor"
    shutil.copy("/bin/sleep", program)
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nsocket: {tmp_path}/nri.sock\n")

    async def explained() -> tuple[int, str, str]:
        async with Engine(tmp_path / "nri.sock") as engine:
            await engine.run_pod_sandbox(told)
            await engine.create_container(told, nri_pb2.Container(id="c", pod_sandbox_id="p", name="app"))
            options = ("--config", tmp_path / "config.yaml", "--pod", "shop/web")
            return await asyncio.to_thread(lambda: run("explain", *options, capsys=capsys))

    with subprocess.Popen(["nsenter", f"--net={home.path}", program, "600"]) as process:
        while Path(f"/proc/{process.pid}/exe").readlink() != program:
            pass
        told.pid = process.pid
        status, out, _ = asyncio.run(explained())
        process.kill()
    assert status == 1
    assert 'refused: the runtime handler "default" of the pod (its process is cloud-hypervisor) runs' in out


def test_what_would_be_set_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the verdict and what suffers; in JSON a text for each field."""
    told = Explanation(
        container="app",
        asked="entry 1: ens1",
        sets=("addresses 192.0.2.10/24", "mtu 9000"),
        steps=("ens1: rule 1 decides",),
        verdict="gives ens1 as ens1",
        is_granted=True,
        effects=("ens1: something",),
    )
    monkeypatch.setattr(explain, "read_node_state", lambda _: None)
    monkeypatch.setattr(explain, "_asked", lambda *_: [SimpleNamespace(title="pod a")])
    monkeypatch.setattr(explain, "_explain", lambda *_: (told,))

    assert run("explain", "x", capsys=capsys) == (
        0,
        (
            "pod a, container app, entry 1: ens1\n  ens1: rule 1 decides\n  gives ens1 as ens1\n"
            "  sets addresses 192.0.2.10/24; mtu 9000\n  ens1: something\n"
        ),
        "",
    )
    [found] = json.loads(run("explain", "--json", "x", capsys=capsys)[1])
    assert found["sets"] == ["addresses 192.0.2.10/24", "mtu 9000"]
