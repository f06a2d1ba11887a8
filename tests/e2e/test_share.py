"""Shares on real engines: several pods have devices of their own on one interface of the host, which stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.asking import GENEROUS, KEY, POD_KEY, said, says
from tests.e2e.cri import Crictl, CriError
from tests.e2e.node import LAN, Daemon, Node
from tests.e2e.seen import Inside, at_home, claims, settled, wait_whole
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.matrix

SHARE = """
- interface: nic0
  name: net1
  share: macvlan
  addresses: [192.0.9.{n}/24, {{address: "2001:db8:9::{n}/64", dad: "off"}}]
"""


@pytest.fixture(name="daemon")
def _daemon(node: Node) -> Iterator[Daemon]:
    with node.daemon(config=GENEROUS) as daemon:
        yield daemon


@pytest.fixture(name="parent")
def _parent(node: Node) -> str:
    """An interface whose other end has an address."""
    node.add_veth("nic0", addresses=["192.0.9.7/24", "2001:db8:9::7/64"])
    node.ip("address", "add", "192.0.9.1/24", "dev", "nic0-peer", netns=LAN)
    node.ip("address", "add", "2001:db8:9::1/64", "dev", "nic0-peer", "nodad", netns=LAN)
    return "nic0"


def shared(crictl: Crictl, n: int, key: str = KEY) -> str:
    """A pod that asks for a share."""
    return crictl.run_pod(f"p{n}", annotations={key: SHARE.format(n=n)})


def test_two_pods_share_one_interface(daemon: Daemon, node: Node, crictl: Crictl, parent: str) -> None:
    """Each has a MAC address of its own; they reach each other and the other end; the interface does not change."""
    before = settled(node, parent)
    pods = [shared(crictl, n) for n in (11, 12)]
    crictl.run(pods[0], "app")
    others = ("192.0.9.1", "2001:db8:9::1", "192.0.9.11", "2001:db8:9::11")
    container = crictl.run(pods[1], "app", says(*(f"ping -c 1 -W 4 {one} >/dev/null && echo {one}" for one in others)))

    assert said(crictl, container).split() == [*others, "over"]
    links = [Inside(node.machine, crictl, pod).link("net1") for pod in pods]
    assert {link["linkinfo"]["info_kind"] for link in links} == {"macvlan"}
    assert len({link["address"] for link in (*links, node.link(parent))}) == 3
    assert without_promiscuity(at_home(node, parent)) == without_promiscuity(before)
    for pod in pods:
        crictl.delete_pod(pod)
    wait_whole(node, before, parent)


def without_promiscuity(seen: object) -> object:
    """What is seen of a veth: with macvlans on it, it hears what is for them."""
    if isinstance(seen, dict):
        return {key: without_promiscuity(value) for key, value in seen.items() if key not in {"promiscuity", "fdb"}}
    return [without_promiscuity(value) for value in seen] if isinstance(seen, list) else seen


def test_who_shares_is_told_to_who_wants_it_whole(daemon: Daemon, node: Node, crictl: Crictl, parent: str) -> None:
    """Nobody gets an interface while others share it, nor a share of what somebody has."""
    pod = shared(crictl, 11)
    crictl.run(pod, "app")
    whole = crictl.run_pod("whole", annotations={KEY: "- nic0"})
    with pytest.raises(CriError, match=r'"nic0" is held by pod default/p11, container app for \d+ s'):
        crictl.create(whole, "app")
    crictl.delete_pod(pod)
    wait_until(lambda: claims(node) == [], timeout_s=10, what="the share is gone")
    crictl.run(whole, "app")
    with pytest.raises(CriError, match=r'"nic0" is held by pod default/whole, container app for \d+ s'):
        crictl.create(shared(crictl, 12), "app")


def test_a_pods_containers_are_told_of_its_share(daemon: Daemon, node: Node, crictl: Crictl, parent: str) -> None:
    """The second one knows from the beginning the MAC address that the kernel has chosen."""
    pod = shared(crictl, 11, POD_KEY)
    crictl.run(pod, "one")
    mac = Inside(node.machine, crictl, pod).link("net1")["address"]
    told = says("env", "cat /run/nri-netdev.io/metadata.json")
    container = crictl.create(pod, "two", told)
    metadata = node.machine.path(f"/run/nri-netdev/pods/{pod}/metadata.json").read_text()
    crictl.start(container)

    assert mac in metadata
    assert f"NRI_NETDEV_NET1_MAC={mac}\n" in said(crictl, container)


@pytest.mark.parametrize("killed", ["the container", "the daemon", "the pod while no daemon is there"])
def test_whoever_dies_no_device_is_left(node: Node, crictl: Crictl, parent: str, killed: str) -> None:
    """The share of the one goes, that of the other stays."""
    before = settled(node, parent)
    with node.daemon(config=GENEROUS) as daemon:
        pods = [shared(crictl, n) for n in (11, 12)]
        containers = [crictl.run(pod, "app") for pod in pods]
        first, second = (Inside(node.machine, crictl, pod) for pod in pods)
        if killed == "the container":
            node.machine.run("kill", "-9", str(crictl.inspect(containers[0])["info"]["pid"]))
            wait_until(lambda: len(claims(node)) == 1, timeout_s=10, what="the first is gone")
        else:
            daemon.kill9()
            if killed != "the daemon":
                crictl.delete_pod(pods[0])
    with node.daemon(config=GENEROUS):
        if killed == "the daemon":
            crictl.stop(containers[0])
        wait_until(lambda: len(claims(node)) == 1, timeout_s=10, what=lambda: f"one is left: {claims(node)}")
        if killed != "the pod while no daemon is there":
            wait_until(lambda: first.names() == set(), timeout_s=10, what=lambda: f"gone: {first.names()}")
            crictl.run(pods[0], "app")

            assert first.names() == {"net1"}
            crictl.delete_pod(pods[0])
        assert second.names() == {"net1"}
        crictl.delete_pod(pods[1])
        wait_whole(node, before, parent)
