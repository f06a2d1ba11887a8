"""Runtimes of a demonstration: bundles, programs that are found, and the built-in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nri_netdev.errors import ConfigurationError, KernelError
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.processes import Processes
from nri_netdev.testing.runtime import (
    BuiltinRuntime,
    OciRuntime,
    bundle_config,
    find_busybox,
    find_runtimes,
    make_bundle,
    patch_bundle,
)
from tests.shells.conftest import Net, home, nets, pod  # noqa: F401 - fixtures

FEATURES = '{"linux": {"netDevices": {"enabled": %s}}}'


def program(directory: Path, name: str, *, has_net_devices: bool) -> Path:
    """A runtime that reports its features, and fails to do anything else."""
    path = directory / name
    features = FEATURES % str(has_net_devices).lower()
    path.write_text(
        f"#!/bin/sh\ncase $1 in features) echo '{features}';; --version) echo '{name} 9.9';; "
        f"""*) echo 'level=error msg="it \\"cannot\\""' >&2; exit 1;; esac\n"""
    )
    path.chmod(0o755)
    return path


def test_a_bundle_is_patched_as_an_engine_does(tmp_path: Path) -> None:
    """The pod's netns and the devices are in `config.json`; without a path the netns is a new one."""
    bundle = make_bundle(tmp_path, bundle_config(cgroup="/one"), None)
    patch_bundle(bundle, netns_path=None, net_devices={})
    config = json.loads((bundle / "config.json").read_text())

    assert {"type": "network"} in config["linux"]["namespaces"]

    patch_bundle(bundle, netns_path="/run/netns/pod", net_devices={"ens9": {"name": "net1"}})
    config = json.loads((bundle / "config.json").read_text())

    assert {"type": "network", "path": "/run/netns/pod"} in config["linux"]["namespaces"]
    assert config["linux"]["netDevices"] == {"ens9": {"name": "net1"}}
    assert config["linux"]["cgroupsPath"] == "/one"
    assert "cgroupsPath" not in bundle_config(cgroup=None)["linux"]


def test_a_runtime_must_have_net_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are passed over; one that is asked for and has none is an error."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    old, new = (program(tmp_path, name, has_net_devices=name == "new") for name in ("old", "new"))

    assert [runtime.name for runtime in find_runtimes(tmp_path, (tmp_path,), "new")] == ["new 9.9"]
    assert [runtime.program for runtime in find_runtimes(tmp_path, (), str(new))] == [str(new)]
    for name in (str(old), "gone"):
        with pytest.raises(ConfigurationError, match=r"is not a runtime that says it has linux\.netDevices"):
            list(find_runtimes(tmp_path, (tmp_path,), name))


def test_a_failure_has_the_last_message(tmp_path: Path) -> None:
    """Without what a runtime wraps it in."""
    path = program(tmp_path, "new", has_net_devices=True)
    runtime = OciRuntime(program=str(path), name="new", state_dir=tmp_path)
    with pytest.raises(KernelError, match=r'create a container.*it "cannot"'):
        runtime.create("one", tmp_path)


def test_a_dynamic_busybox_is_no_busybox(tmp_path: Path) -> None:
    """It would not start in a root file system that has nothing else."""
    path = tmp_path / "busybox"
    path.write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2")
    path.chmod(0o755)

    assert find_busybox((tmp_path,)) != path


@pytest.mark.root
def test_the_built_in_runtime_moves_what_it_is_given(home: Net, pod: Net, tmp_path: Path) -> None:  # noqa: F811
    """Under its name there, with its permanent global addresses, and up; the process is in the pod's netns."""
    home.ip("link add ens9 type ifb")
    home.ip("addr add 192.0.2.10/24 dev ens9")
    bundle = make_bundle(tmp_path, bundle_config(cgroup=None), None)
    patch_bundle(bundle, netns_path=pod.path, net_devices={"ens9": {"name": "net1"}})
    runtime = BuiltinRuntime()
    pid = call_in_netns(home.fd, runtime.create, "one", bundle)
    runtime.start("one")

    assert Path(f"/proc/{pid}/ns/net").stat().st_ino == Path(pod.path).stat().st_ino
    assert home.names() == {"lo"}
    assert pod.link("net1").is_up
    assert "192.0.2.10/24" in pod.ip("addr show dev net1")

    runtime.kill("one")

    assert not Processes().is_alive(pid)

    patch_bundle(bundle, netns_path=pod.path, net_devices={"gone": {}})
    with pytest.raises(ConfigurationError, match="there is no interface gone"):
        call_in_netns(home.fd, runtime.create, "two", bundle)
