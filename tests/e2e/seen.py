"""What iproute2, bridge and sysctl show of interfaces, to be compared: all of it but for what changes by itself."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.cri import Crictl
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.e2e.wait import wait_until

_PASSING = {"operstate", "ifindex", "link_index", "valid_life_time", "preferred_life_time", "tentative", "optimistic"}
"""What depends on the moment, or on where an interface has been: a veth may get another ifindex."""
_PASSING_FLAGS = {"LOWER_UP", "NO-CARRIER", "M-DOWN", "linkdown"}


def claims(node: Node) -> list[dict[str, Any]]:
    """What the daemon knows to be given away."""
    return json.loads(node.cli("claims", "--json"))


def at_home(node: Node, *names: str) -> Mapping[str, Any]:
    """Everything that is told of interfaces of the host."""
    routes = [route for family in ("-4", "-6") for route in node.ip_json(family, "route", "show", "table", "all")]
    neighbors = [one for one in node.ip_json("neighbor", "show", "nud", "permanent") if one.get("dev") in names]
    fdb = json.loads(node.machine.run("bridge", "-json", "fdb"))
    return {
        "addresses": _sorted(_of(names, node.ip_json("-details", "address"), by="ifname")),
        "links": _sorted(_of(names, node.ip_json("-details", "link"), by="ifname")),
        "routes": _sorted(route for route in _of(names, routes) if route.get("type") != "anycast"),
        "rules": _sorted(node.ip_json("rule") + node.ip_json("-6", "rule")),
        "neighbors": _sorted(map(_lasting, neighbors)),
        "fdb": _sorted(_of(names, fdb, by="ifname")),
        "sysctls": _sysctls(node, names),
    }


def settled(node: Node, *names: str) -> Mapping[str, Any]:
    """The same, with forwarding on, as CNI plugins have it, and duplicate address detection over, which adds routes."""
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        node.sysctl(name, 1)
    wait_until(lambda: "tentative" not in node.ip("-6", "address"), timeout_s=10, what="addresses are settled")
    return at_home(node, *names)


def _sysctls(node: Node, names: tuple[str, ...]) -> list[str]:
    where = "net/ipv4/conf net/ipv6/conf net/ipv4/neigh net/ipv6/neigh"
    script = (
        f"cd /proc/sys; for name in {' '.join(names)}; do for d in {where}; do grep -sr . $d/$name || true; done; done"
    )
    return sorted(node.machine.run("sh", "-c", script).splitlines())


def wait_whole(node: Node, before: Mapping[str, Any], *names: str) -> None:
    """Wait until the host is as it was, and nothing is claimed or pinned any more."""
    try:
        wait_until(lambda: at_home(node, *names) == before, timeout_s=10, what="home")
    except AssertionError:
        now = at_home(node, *names)
        gone, new = _lacking(before, now), _lacking(now, before)
        assert not gone, f"gone: {json.dumps(gone)}; {claims(node)}"
        assert not new, f"new: {json.dumps(new)}; {claims(node)}"
        raise
    wait_until(lambda: claims(node) == [], timeout_s=5, what=lambda: f"no claims: {claims(node)}")
    assert node.machine.run("sh", "-c", "ls /run/nri-netdev/netns 2>&- || true").split() == []


def _lacking(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """What is in the one and not in the other."""
    found = {key: [value for value in values if value not in other[key]] for key, values in one.items()}
    return {key: values for key, values in found.items() if values}


def _of(names: tuple[str, ...], every: list[dict[str, Any]], by: str = "dev") -> Iterator[dict[str, Any]]:
    return (_lasting(one) for one in every if one.get(by) in names)


def _lasting(value: Any) -> Any:
    """A value without what passes."""
    if isinstance(value, dict):
        return {key: _lasting(one) for key, one in value.items() if key not in _PASSING}
    if isinstance(value, list):
        return [_lasting(one) for one in value if not (isinstance(one, str) and one in _PASSING_FLAGS)]
    return value


def _sorted(values: Any) -> list[Any]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))


class Inside:
    """A pod's netns, entered from outside."""

    def __init__(self, machine: Machine, crictl: Crictl, pod: str) -> None:
        self._machine = machine
        self._path = crictl.netns_path(pod)

    def run(self, *argv: Any) -> str:
        """Run a command of the machine there."""
        return self._machine.run("nsenter", f"--net={self._path}", *argv)

    def ip(self, *arguments: str) -> Any:
        """What `ip -json -details` says there."""
        return json.loads(self.run("ip", "-json", "-details", *arguments) or "[]")

    def link(self, name: str) -> dict[str, Any]:
        """What `ip address` says of one interface."""
        [link] = self.ip("address", "show", "dev", name)
        return link

    def names(self) -> set[str]:
        """The interfaces there but for what every pod has."""
        return {link["ifname"] for link in self.ip("link")} - {"lo", "eth0"}

    def addresses(self, name: str) -> set[str]:
        """The addresses of an interface; not the link-local ones."""
        return {f"{a['local']}/{a['prefixlen']}" for a in self.link(name)["addr_info"] if a["scope"] != "link"}

    def sysctl(self, name: str) -> str:
        """The value of a sysctl."""
        return self.run("sysctl", "-n", name).strip()
