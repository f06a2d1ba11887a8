"""The main job on a real engine and a real OCI runtime: from a pod annotation to an interface in a container."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.node import UPLINK, Daemon, Node
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.matrix

KEY = "nri-netdev.io/container.app"


@pytest.fixture(name="daemon")
def _daemon(node: Node) -> Iterator[Daemon]:
    with node.daemon() as daemon:
        yield daemon


def inside(crictl: Crictl, container: str) -> set[str]:
    """Names in a container's netns, but for what every pod has."""
    return {link["ifname"] for link in crictl.ip_json(container, "link")} - {"lo", "eth0"}


def test_an_interface_arrives_under_its_new_name(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """In the container, up, with its addresses of both families, and gone from the host."""
    node.add_veth("nic0", addresses=["198.51.100.7/24", "2001:db8:7::7/64"])
    pod = crictl.run_pod("web", annotations={KEY: "- interface: nic0\n  name: net1"})
    container = crictl.run(pod, "app")
    (link,) = crictl.ip_json(container, "addr", "show", "net1")

    assert "UP" in link["flags"]
    assert {"198.51.100.7", "2001:db8:7::7"} <= {info["local"] for info in link["addr_info"]}
    assert node.link("nic0") is None


def test_it_is_ready_when_the_container_comes(node: Node, crictl: Crictl) -> None:
    """The engine is told what was made ready as it told of the pod."""
    node.add_veth("nic0")
    scrape = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9810/metrics', timeout=9).read().decode())"
    with node.daemon(options=["--metrics=127.0.0.1:9810"]):
        container = crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")
        said = node.machine.run("python3", "-c", scrape)

        assert inside(crictl, container) == {"nic0"}
        assert re.findall(r"^nri_netdev_grants_total\S*", said, re.MULTILINE) == [
            'nri_netdev_grants_total{how="ready"}'
        ]


def test_what_was_ready_and_is_so_no_more(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """A name that somebody takes in the pod meanwhile is noticed when the container comes."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    node.machine.run("nsenter", f"--net={crictl.netns_path(pod)}", *["ip", "link", "add", "net1", "type", "ifb"])

    with pytest.raises(CriError, match="already taken in the pod"):
        crictl.run(pod, "app")
    assert node.link("nic0")


def test_an_interface_keeps_its_name(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Without a field `name` it is called inside as it is outside."""
    node.add_veth("nic0")
    container = crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")

    assert inside(crictl, container) == {"nic0"}


def test_two_interfaces_in_one_container(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Each entry of the list is one interface; kinds may differ."""
    node.add_veth("nic0")
    node.add_macvlan("nic1")
    container = crictl.run(crictl.run_pod("web", annotations={KEY: "[nic0, {interface: nic1, name: net1}]"}), "app")

    assert inside(crictl, container) == {"nic0", "net1"}


def test_only_the_named_container_asks(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """The annotation names one container; creating another one of the pod moves nothing."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
    crictl.run(pod, "sidecar")

    assert node.link("nic0") is not None


@pytest.mark.parametrize("key", ["nri-netdev.io/pod", "nri-netdev.io"])
def test_a_pod_level_key_gives_to_the_pod(daemon: Daemon, node: Node, crictl: Crictl, key: str) -> None:
    """The interface comes with the first container, and the second one starts as well."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={key: "- nic0"})
    crictl.run(pod, "one")
    container = crictl.run(pod, "two")

    assert inside(crictl, container) == {"nic0"}


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("network-devices.nri.io/container.app", "- hostIf: nic0\n  name: net1", "net1"),
        ("network-devices.noderesource.dev/pod", '[{"HostIf": "nic0", "Name": "net1"}]', "net1"),
        ("netdevices.nri.containerd.io", "- name: nic0\n  new_name: net1", "net1"),
        ("netdevice.noderesource.dev/pod", "- name: nic0", "nic0"),
    ],
)
def test_the_keys_of_the_go_plugins_work_unchanged(  # noqa: PLR0917
    daemon: Daemon, node: Node, crictl: Crictl, key: str, value: str, name: str
) -> None:
    """A pod written for the device-injector or the network-device-injector gets what it asks for."""
    node.add_veth("nic0")
    container = crictl.run(crictl.run_pod("web", annotations={key: value}), "app")

    assert inside(crictl, container) == {name}


def test_a_pod_that_asks_for_nothing_is_untouched(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """It runs, with its own network alone, and the host keeps what it has."""
    node.add_veth("nic0")
    before = node.ip_json("-details", "address", "show", "nic0")
    container = crictl.run(crictl.run_pod("web", annotations={"example.com/nri-netdev.io": "x"}), "app")

    assert inside(crictl, container) == set()
    assert node.ip_json("-details", "address", "show", "nic0") == before


REFUSALS = {
    "absent": (
        "[nic0, ens9]",
        (
            'interface "ens9" is not on this node (annotation nri-netdev.io/container.app, entry 2). '
            "Present and free: nic0, nic1"
        ),
    ),
    "loopback": ("- {interface: lo, name: lo9}", "is the loopback device"),
    "bridge": ("- br0", "is a bridge that the kernel never lets leave its network namespace"),
    "enslaved": ("- port0", "is enslaved to bridge br0"),
    "default route": (f"- {UPLINK}", "carries a default route of the node"),
    "vxlan below": ("- nic0", "carries vx0 of the host (the kernel would delete vx0)"),
    "name too long": ("- {interface: nic0, name: abcdefghijklmnop}", "longer than 15 bytes"),
    "name is a template": ('- {interface: nic0, name: "net%d"}', "template"),
    "name with a dash": ("- {interface: nic0, name: -net}", "-"),
    "name with a slash": ("- {interface: nic0, name: a/b}", "/"),
    "name taken": ("- {interface: nic0, name: eth0}", 'the name "eth0" is already taken in the pod'),
    "name twice": ("[{interface: nic0, name: a}, {interface: nic1, name: a}]", '"a"'),
    "interface twice": ("[nic0, nic0]", '"nic0"'),
    "unknown field": ("- {interface: nic0, nmae: a}", "nmae"),
    "out of bounds": ("- {interface: nic0, mtu: 65536}", "mtu"),
    "two of one address": (
        "- {interface: nic0, addresses: [192.0.2.9/24, 192.0.2.9/24]}",
        "addresses.2 is the same as number 1",
    ),
    "not the rule's to give": (
        "- {interface: nic0, routes: [{to: 192.0.2.0/24}]}",
        "rule 1 does not let a pod set routes; it would with may: [addresses, mtu, routes]",
    ),
    "not YAML": ("- [", "YAML"),
    "not a list": ("nic0: {}", "list"),
    "aliases": ("a: &a [nic0]\nb: *a", "anchor"),
    "duplicate keys": ("- {interface: nic0, interface: nic1}", "twice"),
    "not ASCII": ("- nïc0", "ASCII"),
    "hundreds of entries": (str([f"n{i}" for i in range(300)]), "64"),
    "long": ("- " + "x" * 200_000, "15 bytes"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_refused_with_its_reason(daemon: Daemon, node: Node, crictl: Crictl, case: str) -> None:
    """The message at the CRI client names pod, container, annotation and reason; the host is as it was."""
    value, reason = REFUSALS[case]
    for name in ("nic0", "nic1"):
        node.add_veth(name)
    node.add_bridge("br0")
    node.add_bridge_port("port0", bridge="br0")
    if case == "vxlan below":
        node.ip("link", "add", "vx0", "type", "vxlan", "id", "42", "dev", "nic0", "dstport", "4789")
    pod = crictl.run_pod("web", annotations={KEY: value})
    before = node.ip_json("-details", "address")
    with pytest.raises(CriError) as refusal:
        crictl.create(pod, "app")

    assert "nri-netdev: pod default/web, container app: " in str(refusal.value)
    assert f"annotation {KEY}" in str(refusal.value)
    assert reason in str(refusal.value)
    assert _without_lifetimes(node.ip_json("-details", "address")) == _without_lifetimes(before)
    assert crictl.run(pod, "other")


def _without_lifetimes(links: list[dict]) -> list[dict]:
    passing = {"operstate", "flags", "inet6_addr_gen_mode", "tentative"}
    return [
        {
            key: _without_lifetimes(value) if key == "addr_info" else value
            for key, value in link.items()
            if key not in passing | ({"linkinfo"} if _has_timers(link) else set())
        }
        for link in links
    ]


def _has_timers(link: dict) -> bool:
    """Whether its details are full of timers."""
    info = link.get("linkinfo", {})
    return "bridge" in {info.get("info_kind"), info.get("info_slave_kind")}


def test_all_that_is_wrong_is_told_at_once(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """One refusal names every problem of every entry."""
    pod = crictl.run_pod("web", annotations={KEY: "[ens7, lo, ens9]"})
    with pytest.raises(CriError) as refusal:
        crictl.create(pod, "app")

    for reason in ('"ens7" is not on this node', '"lo" is the loopback', '"ens9" is not on this node'):
        assert reason in str(refusal.value)


def test_a_host_network_pod_is_refused(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Where every interface already is, nothing can be given; runc would take the host's down."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- nic0"}, host_network=True)
    with pytest.raises(CriError, match="the pod is on the host network"):
        crictl.create(pod, "app")

    assert "UP" in node.link("nic0")["flags"]


def test_one_holder_at_a_time(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """The second pod is refused, and told who holds the interface since when."""
    node.add_veth("nic0")
    crictl.run(crictl.run_pod("first", annotations={KEY: "- nic0"}), "app")
    pod = crictl.run_pod("second", annotations={KEY: "- nic0"})

    with pytest.raises(CriError, match=r'"nic0" is held by pod default/first, container app for \d+ s'):
        crictl.create(pod, "app")


def test_the_daemon_waits_for_its_engine(engine: Engine, node: Node, crictl: Crictl) -> None:
    """Started before the engine it registers as soon as that is up."""
    node.add_veth("nic0")
    engine.stop()
    with node.daemon(wait_registered=False) as daemon:
        daemon.wait_logged("engine.away")
        engine.start()
        daemon.wait_registered()
        wait_until(lambda: daemon.logged("engine.synchronized"), timeout_s=5, what="Synchronize")
        container = crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")

        assert inside(crictl, container) == {"nic0"}


@pytest.mark.parametrize("how", ["restart", "kill9"])
def test_the_daemon_comes_back_to_a_restarted_engine(
    engine: Engine, daemon: Daemon, node: Node, crictl: Crictl, how: str
) -> None:
    """An engine may go and come; the daemon stays, and what runs is untouched."""
    node.add_veth("nic0")
    node.add_veth("nic1")
    running = crictl.run(crictl.run_pod("old", annotations={KEY: "- nic0"}), "app")
    engine.kill9() if how == "kill9" else engine.stop()
    engine.start()
    daemon.wait_registered(count=2)
    daemon.wait_logged("engine.synchronized", count=2)
    container = crictl.run(crictl.run_pod("new", annotations={KEY: "- nic1"}), "app")

    assert inside(crictl, container) == {"nic1"}
    assert inside(crictl, running) == {"nic0"}


def test_sigterm_ends_it_cleanly(daemon: Daemon, node: Node) -> None:
    """Status 0, and its last line says so."""
    assert daemon.terminate() == 0
    assert re.search(r"daemon\.stopped$", daemon.log_text().splitlines()[-1])


def test_launched_by_the_engine(engine: Engine, node: Node, crictl: Crictl) -> None:
    """In the plugin directory it registers over the socket that it inherits, with the policy that it is passed."""
    import sys
    from pathlib import Path

    from tests.e2e.engine import NRI_PLUGIN_CONFIGS, NRI_PLUGINS
    from tests.e2e.node import EVERYTHING

    node.add_veth("nic0")
    program = Path(sys.executable).with_name("nri-netdev")
    plugin = engine.machine.path(NRI_PLUGINS / "10-nri-netdev")
    plugin.write_text(f"#!/bin/sh\nexec {program} run --state-dir=/var/lib/launched --run-dir=/run/launched\n")
    plugin.chmod(0o755)
    passed = engine.machine.path(NRI_PLUGIN_CONFIGS / "nri-netdev.conf")
    passed.write_text(EVERYTHING)
    try:
        engine.restart()
        container = crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")

        assert inside(crictl, container) == {"nic0"}
    finally:
        plugin.unlink()
        passed.unlink()
        engine.restart()
        Crictl(engine).remove_all()
        clean = "umount --lazy /run/launched/netns/* 2>&-; rm -rf /run/launched /var/lib/launched"
        engine.machine.run("sh", "-c", clean)


def test_devices_tells_what_is_free_and_why_not(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Every interface of the host with its state, and who holds what is away."""
    import json

    node.add_veth("nic0", addresses=["198.51.100.7/24"])
    node.add_veth("nic1")
    crictl.run(crictl.run_pod("web", annotations={KEY: "- nic1"}), "app")
    rows = {row["ifname"]: row for row in json.loads(node.cli("devices", "--json"))}

    assert (rows["nic0"]["kind"], rows["nic0"]["free"], rows["nic0"]["addresses"][0]) == (
        "veth",
        True,
        "198.51.100.7/24",
    )
    assert rows[UPLINK]["why_not"].startswith("carries a default route of the node")
    assert rows["nic1"]["why_not"] == "is held by pod default/web, container app"
    assert "is held by pod default/web" in node.cli("devices")
