"""What is set on interfaces for pods, by the port that custody has of it, in real netns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from nri_netdev.domain.setup.values import AddressSetup, NewShare, RouteSetup, RuleSetup, Setup, ShareKind, VfSetup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import changes
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.setups import Setups
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

T = TypeVar("T")
WANTED = Setup(
    addresses=(AddressSetup(address="192.0.2.10/24"),),
    routes=(RouteSetup(to="198.51.100.0/24", via="192.0.2.1"),),
    rules=(RuleSetup(source="192.0.2.10/32", table=100),),
    mtu=1400,
    asked=frozenset({"addresses", "routes", "rules", "mtu"}),
)


class Node:
    """A host with `dev0`, and what pods ask of it."""

    def __init__(self, home: Net) -> None:
        self.home = home
        home.ip("link add dev0 type veth peer name peer0")
        self.host = Host()
        self.setups = Setups(self.host)

    def call(self, function: Callable[[Setups], T]) -> T:
        return call_in_netns(self.home.fd, function, self.setups)

    def close(self) -> None:
        if self.host._rtnl is not None:
            self.host._rtnl.close()


@pytest.fixture
def node(home: Net) -> Iterator[Node]:
    made = Node(home)
    yield made
    made.close()


def test_it_is_set_in_the_pod_and_not_at_home(node: Node, pod: Net) -> None:
    """As iproute2 reads it."""
    node.home.call(changes.move, node.home.link("dev0").ifindex, pod.fd)
    ifindex = pod.link("dev0").ifindex
    rules_at_home = node.home.ip_json("rule")
    node.call(lambda setups: setups.apply(pod.path, ifindex, WANTED, ()))

    [link] = pod.ip_json("address show dev dev0")
    assert link["mtu"] == 1400
    assert [one["local"] for one in link["addr_info"] if one["family"] == "inet"] == ["192.0.2.10"]
    assert "198.51.100.0/24" in [route["dst"] for route in pod.ip_json("route")]
    assert [rule["table"] for rule in pod.ip_json("rule") if rule.get("src") == "192.0.2.10"] == ["100"]
    assert node.home.ip_json("rule") == rules_at_home
    assert node.call(lambda setups: setups.duplicates(pod.path, ifindex)) == ()


def test_a_share_comes_and_goes(node: Node, pod: Net) -> None:
    """With what was set for it; the interface at home is as it was."""
    before = node.home.ip_json("-details address show dev dev0")
    rules = pod.ip_json("rule")
    new = NewShare(ifname="net1", mark="nri-netdev-0000000000aa", kind=ShareKind.MACVLAN, mode="bridge")
    parent = node.home.link("dev0").ifindex
    ifindex = node.call(lambda setups: setups.share(parent, pod.path, new))
    assert node.call(lambda setups: setups.share(parent, pod.path, new)) == ifindex
    node.call(lambda setups: setups.apply(pod.path, ifindex, WANTED, ()))
    assert pod.link("net1").kind == "macvlan"

    for _ in range(2):
        node.call(lambda setups: setups.unshare(pod.path, ifindex, WANTED))
    assert "net1" not in pod.names()
    assert pod.ip_json("rule") == rules
    assert node.home.ip_json("-details address show dev dev0") == before


def test_what_is_no_virtual_function(node: Node) -> None:
    """It has no physical function to ask, nor RDMA devices."""
    link = node.home.link("dev0")
    with pytest.raises(KernelError, match="virtual function"):
        node.call(lambda setups: setups.set_vf(link, VfSetup(vlan=5)))
    assert node.call(lambda setups: setups.char_devices(link)) == ()
