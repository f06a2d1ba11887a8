"""What pods ask for is there or not there at all, whoever is killed, and addresses of IPAM plugins are given back."""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.e2e import tools
from tests.e2e.asking import ASKED, GENEROUS, KEY, POD_KEY, dressed, is_as_asked, leases
from tests.e2e.cri import Crictl, CriError
from tests.e2e.node import Node
from tests.e2e.seen import Inside, claims, settled, wait_whole
from tests.e2e.wait import wait_until

SHARED = """
- {interface: nic2, name: sh0, share: macvlan, addresses: [192.0.2.77/24]}
- {interface: nic3, name: net3, ipam: {type: host-local, subnet: 198.51.99.0/24}}
"""
IDLE = {f"setup.{name}" for name in ("detach_bpf", "mac", "txqueuelen", "offload_sizes", "modes", "vrf", "up", "down")}
"""Fault points after which all is as it was before, since these pods ask for nothing of the kind."""
DYING = (sys.executable, Path(__file__).with_name("dies_at_step.py"))


@pytest.fixture(name="points")
def _points(node: Node, crictl: Crictl) -> list[str]:
    """The names of the fault points that a start passes."""
    dressed(node, "nic1", "nic2", "nic3")
    with node.daemon(config=GENEROUS, program=(*DYING, "none", "run")) as daemon:
        pod = crictl.run_pod("web", annotations={KEY: ASKED + SHARED})
        crictl.run(pod, "app")
        points = re.findall("^passes (.*)$", daemon.log_text(), re.MULTILINE)
        crictl.delete_pod(pod)
        wait_until(lambda: claims(node) == [] and leases(node) == [], timeout_s=10, what="home")
    return points


def test_the_daemon_is_killed_at_every_step_of_a_start(node: Node, crictl: Crictl, points: list[str]) -> None:
    """When it is back the container runs with all that it asked for, or has nothing; then nothing is left anywhere."""
    names = ("nic1", "nic2", "nic3")
    before = settled(node, *names)
    assert len([point for point in points if point.startswith("setup.")]) > 10
    for point in (point for point in points if point not in IDLE):
        with node.daemon(config=GENEROUS, program=(*DYING, point, "run")) as doomed:
            pod = crictl.run_pod("web", annotations={KEY: ASKED + SHARED})
            there = Inside(node.machine, crictl, pod)
            with contextlib.suppress(CriError):
                crictl.run(pod, "app")
            assert doomed.wait_ended() == -9, point
        with node.daemon(config=GENEROUS):
            if any(one["state"] == "CONTAINER_RUNNING" for one in crictl.containers(pod)):
                wait_until(
                    lambda there=there: all(IS_WHOLE[claim["ifname"]](there) for claim in claims(node)),
                    timeout_s=10,
                    what=lambda there=there, point=point: f"{point}: {claims(node)} {there.ip('address')}",
                )
            for container in crictl.containers(pod):
                crictl.remove(container["id"], force=True)
            wait_whole(node, before, *names)
            assert there.names() == set(), point
            assert [rule for rule in there.ip("rule") if rule["table"] == "100"] == [], point
            wait_until(lambda: leases(node) == [], timeout_s=10, what=lambda: str(leases(node)))
            crictl.remove_pod(pod, force=True)


IS_WHOLE: Mapping[str, Callable[[Inside], bool]] = {
    "nic1": is_as_asked,
    "nic2": lambda there: "sh0" in there.names() and there.addresses("sh0") == {"192.0.2.77/24"},
    "nic3": lambda there: any(address.startswith("198.51.99.") for address in there.addresses("net3")),
}
"""Whether a pod has all that it asked for of an interface that is given to it."""


# -- IPAM --------------------------------------------------------------------------------------------------------------

IPAM = "- {{interface: {name}, name: net1, ipam: {{type: host-local, subnet: 198.51.99.0/29}}}}"
ROUNDS = int(os.environ.get("IPAM_ROUNDS", "12"))


@pytest.mark.parametrize("injection", ["auto", "netlink"])
def test_an_address_of_a_plugin(node: Node, crictl: Crictl, injection: str) -> None:
    """It is the pod's for as long as its container lives, wherever plugins are, whoever moves the interface."""
    dressed(node, "nic1", "nic2")
    before = settled(node, "nic1", "nic2")
    asked = """
- {interface: nic1, name: net1, ipam: {type: host-local, subnet: 198.51.99.0/29}}
- {interface: nic2, name: net2, ipam: {type: static, addresses: [{address: 198.51.98.9/24}]}}
"""
    config = f"cni_path: /no/such/place:{tools.BIN}\ninjection: {injection}\n"
    with node.daemon(config=config + GENEROUS):
        pod = crictl.run_pod("web", annotations={KEY: asked})
        there = Inside(node.machine, crictl, pod)
        for _ in range(2):
            container = crictl.run(pod, "app")

            (address,) = leases(node)
            assert there.addresses("net1") == {f"{address}/29"}
            assert there.addresses("net2") == {"198.51.98.9/24"}
            crictl.stop(container)
            wait_whole(node, before, "nic1", "nic2")
            wait_until(lambda: leases(node) == [], timeout_s=10, what=lambda: str(leases(node)))


def test_addresses_through_kills_of_the_daemon(node: Node, crictl: Crictl) -> None:
    """Killed at any moment, again and again: no two pods have one address, and in the end none is given."""
    rng = random.Random(7)  # noqa: S311
    names = ("nic1", "nic2", "nic3")
    dressed(node, *names)
    before = settled(node, *names)
    pods: dict[str, str] = {}
    every: set[str] = set()
    for number in range(ROUNDS):
        with node.daemon(config=GENEROUS) as daemon:
            killer = threading.Timer(rng.uniform(0, 1.2), daemon.kill9)
            killer.start()
            for name in rng.sample(names, 2):
                if name in pods:
                    crictl.remove_pod(pods.pop(name), force=True)
                else:
                    key = rng.choice((KEY, POD_KEY))
                    pods[name] = crictl.run_pod(f"p{number}-{name}", annotations={key: IPAM.format(name=name)})
                    with contextlib.suppress(CriError):  # its interface is on its way home, or the daemon has died
                        crictl.run(pods[name], "app")
            killer.join()
        every |= addresses_of(node, crictl, pods)
    assert len(every) > 1
    with node.daemon(config=GENEROUS):
        for pod in pods.values():
            crictl.remove_pod(pod, force=True)
        wait_whole(node, before, *names)
        wait_until(lambda: leases(node) == [], timeout_s=30, what=lambda: str(leases(node)))


def addresses_of(node: Node, crictl: Crictl, pods: Mapping[str, str]) -> set[str]:
    """The addresses that pods have of the plugin: each is one pod's, and counts as given."""
    inside = [Inside(node.machine, crictl, pod) for pod in pods.values()]
    every = [address for there in inside if "net1" in there.names() for address in there.addresses("net1")]
    of_plugin = Counter(address.partition("/")[0] for address in every if address.startswith("198.51.99."))

    assert not [address for address, count in of_plugin.items() if count > 1]
    assert set(of_plugin) <= set(leases(node))
    return set(of_plugin)
