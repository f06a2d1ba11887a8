"""Custody on a real engine and a real OCI runtime: however a container ends, its interfaces come home as they were."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.node import LAN, Daemon, Node
from tests.e2e.wait import wait_until

KEY = "nri-netdev.io/container.app"
POD_KEY = "nri-netdev.io/pod"
CHURN_ROUNDS = 500
MOST_STEPS = 100


@pytest.fixture(name="daemon")
def _daemon(node: Node) -> Iterator[Daemon]:
    with node.daemon() as daemon:
        yield daemon


def host_state(node: Node, *names: str) -> dict[str, Any]:
    """Everything that `ip` says of interfaces of the host, but for what changes by itself."""
    links = [link for link in node.ip_json("-details", "address") if link["ifname"] in names]
    for link in links:
        for key in ("operstate", "ifindex", "link_index"):
            link.pop(key, None)
        link["flags"] = sorted(set(link["flags"]) - {"LOWER_UP", "NO-CARRIER", "M-DOWN"})
        link["addr_info"] = [a for a in link["addr_info"] if a["scope"] != "link"]
    routes = [
        route
        for family in ("-4", "-6")
        for route in node.ip_json(family, "route", "show", "table", "all")
        if route.get("dev") in names
        and route.get("type") != "anycast"  # comes with forwarding, which a CNI plugin turns on
        and not route.get("dst", "").startswith(("fe80", "ff00", "multicast"))
    ]
    for route in routes:
        route["flags"] = sorted(set(route.get("flags", ())) - {"linkdown"})
    rules = [rule for rule in node.ip_json("rule") if {rule.get("iif"), rule.get("oif")} & set(names)]
    return {
        "links": sorted(links, key=lambda link: link["ifname"]),
        "routes": sorted(routes, key=json.dumps),
        "rules": [{k: v for k, v in rule.items() if "detached" not in k} for rule in rules],
    }


def wait_home(node: Node, before: dict[str, Any], *names: str) -> None:
    """Wait until the host is as it was, and nothing is claimed, pinned or marked any more."""
    try:
        wait_until(lambda: host_state(node, *names) == before, timeout_s=10, what="home")
    except AssertionError:
        assert before == host_state(node, *names)
        raise
    wait_until(lambda: claims(node) == [], timeout_s=5, what=lambda: f"no claims: {claims(node)}")
    assert node.machine.run("sh", "-c", "ls /run/nri-netdev/netns 2>&- || true").split() == []


def claims(node: Node) -> list[dict[str, Any]]:
    return json.loads(node.cli("claims", "--json"))


def dressed(node: Node, name: str = "nic0", kind: str = "veth") -> str:
    """An interface with all that a move destroys, in networks of its own: `nic3` in 198.51.103.0/24 and so on."""
    number = int(name.removeprefix("nic"))
    addresses = (f"198.51.10{number}.7/24", f"2001:db8:{number}::7/64")
    {"veth": node.add_veth, "macvlan": node.add_macvlan, "ifb": node.add_ifb}[kind](name, addresses=addresses)
    lines = f"""
link set {name} mtu 1400 txqueuelen 77
link set {name} alias "rack 7"
link property add dev {name} altname {name}-uplink-of-rack-seven
route add 203.0.{number}.0/24 via 198.51.10{number}.1 dev {name}
route add 203.0.{number}.128/25 dev {name} table 77 metric 9
-6 route add 2001:db8:99{number}::/48 via 2001:db8:{number}::1 dev {name}
rule add iif {name} lookup 77
"""
    node.ip_batch(lines)
    node.sysctl(f"net/ipv4/conf/{name}/rp_filter", 2)
    wait_until(
        lambda: "tentative" not in node.ip("-6", "address", "show", "dev", name), timeout_s=10, what=f"{name} settled"
    )
    return name


@pytest.fixture(autouse=True)
def _no_rules_left(node: Node) -> Iterator[None]:
    yield
    remove_rules(node)


def remove_rules(node: Node) -> None:
    """Take away the policy rules of `dressed`."""
    for rule in node.ip_json("rule"):
        if rule.get("table") == "77":
            node.ip("rule", "del", "priority", str(rule["priority"]))


def inside(crictl: Crictl, container: str) -> set[str]:
    return {link["ifname"] for link in crictl.ip_json(container, "link")} - {"lo", "eth0"}


ENDINGS: dict[str, Callable[[Crictl, str, str], None]] = {
    "stopped": lambda c, pod, container: c.stop(container),
    "removed by force": lambda c, pod, container: c.remove(container, force=True),
    "pod stopped": lambda c, pod, container: c.stop_pod(pod),
    "pod removed by force": lambda c, pod, container: c.remove_pod(pod, force=True),
    "pod deleted": lambda c, pod, container: c.delete_pod(pod),
}


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["veth", "macvlan", "ifb"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_however_it_ends_everything_comes_home(
    daemon: Daemon, node: Node, crictl: Crictl, ending: str, kind: str
) -> None:
    """Name, addresses, routes of every table, rules, MTU, alias, alternative names: field by field as before."""
    dressed(node, kind=kind)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")

    assert inside(crictl, container) == {"net1"}

    ENDINGS[ending](crictl, pod, container)

    wait_home(node, before, "nic0")


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["exits", "crashes", "is killed", "runs out of memory"])
def test_a_container_that_ends_by_itself(daemon: Daemon, node: Node, crictl: Crictl, how: str) -> None:
    """Exit, crash, SIGKILL and the OOM killer bring it home without anybody asking."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
    script = {
        "exits": "sleep 0.3",
        "crashes": "sleep 0.3; exit 7",
        "is killed": "exec sleep 1000",
        "runs out of memory": "tail /dev/zero",
    }[how]
    container = crictl.run(pod, "app", ["sh", "-c", f"{script}; exit"], memory_bytes=32 << 20)
    if how == "is killed":
        node.machine.run("kill", "-9", str(crictl.inspect(container)["info"]["pid"]))

    wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_a_restart_in_the_same_pod_just_works(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Ten times over: dead, and created again at once, as the kubelet does. The daemon keeps no fd of any of them."""

    def open_files() -> int:
        """But for the ledger's, which SQLite opens and keeps as it pleases."""
        count = 0
        for fd in Path(f"/proc/{daemon.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += not fd.readlink().name.startswith("ledger.db")
        return count

    dressed(node)
    before = host_state(node, "nic0")
    with_life = crictl.run_pod("first", annotations={KEY: "- nic0"})
    crictl.run(with_life, "app")
    crictl.delete_pod(with_life)
    wait_home(node, before, "nic0")
    open_before = open_files()  # what it keeps open of the host is open from the first life on
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    for _ in range(10):
        container = crictl.run(pod, "app")

        assert inside(crictl, container) == {"net1"}

        node.machine.run("kill", "-9", str(crictl.inspect(container)["info"]["pid"]))
        wait_until(lambda c=container: crictl.state(c) == "CONTAINER_EXITED", timeout_s=5, what="its end")
    wait_home(node, before, "nic0")
    wait_until(lambda: open_files() <= open_before, timeout_s=5, what="fds are closed")


@pytest.mark.matrix
def test_a_failed_create_is_undone_by_the_next(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """The runtime moved it and failed afterwards; no event tells. The next attempt gets it all the same."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    with pytest.raises(CriError):  # whose text is the runtime's own, and youki has none
        crictl.start(crictl.create(pod, "app", ["/no/such/program"]))
    container = crictl.run(pod, "app")

    assert inside(crictl, container) == {"net1"}

    crictl.delete_pod(pod)
    wait_home(node, before, "nic0")


SABOTAGE = {
    "renamed": "ip link set net1 down; ip link set net1 name evil",
    "mac, mtu and alias": "ip link set net1 mtu 900 address 02:aa:bb:cc:dd:ee; ip link set net1 alias x",
    "down and without addresses": "ip addr flush dev net1; ip link set net1 down",
    "without its mark": (
        "ip link set net1 down; for n in $(ip -d link show net1 | awk '/altname/ {print $2}');"
        " do ip link property del dev net1 altname $n; done; ip link set net1 name evil"
    ),
    "enslaved": "ip link add br0 type bridge; ip link set net1 master br0",
    "with a macvlan on it": "ip link add mv0 link net1 type macvlan",
}


@pytest.mark.matrix
@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_whatever_was_done_to_it_inside(daemon: Daemon, node: Node, crictl: Crictl, sabotage: str) -> None:
    """A container with all rights may do what it likes: the interface comes home as it was."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")
    pid = str(crictl.inspect(container)["info"]["pid"])
    node.machine.run("nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", SABOTAGE[sabotage])
    crictl.stop(container)

    wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_moved_on_into_a_netns_of_its_own(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """A process of the container took it into another netns: it is found there."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")
    pid = str(crictl.inspect(container)["info"]["pid"])
    with node.machine.popen(["nsenter", f"--net=/proc/{pid}/ns/net", "unshare", "--net", "sleep", "1000"]) as other:
        own = wait_until(
            lambda: node.machine.processes().get(other.pid, "").startswith("sleep"), timeout_s=5, what="it"
        )
        assert own
        inner = node.machine.run("sh", "-c", "pgrep -f '^sleep 1000$' | tail -1").strip()
        node.machine.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "set", "net1", "netns", inner)
        crictl.stop(container)
        wait_home(node, before, "nic0")
        other.kill()


@pytest.mark.matrix
def test_a_bridge_port_is_refused_and_stays_one(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Without a policy that allows it a slave is not given."""
    node.add_bridge("br0")
    node.add_bridge_port("port0", bridge="br0")
    pod = crictl.run_pod("web", annotations={KEY: "- port0"})
    with pytest.raises(CriError, match="is enslaved to bridge br0; release it first"):
        crictl.create(pod, "app")

    assert node.link("port0")["master"] == "br0"


@pytest.mark.matrix
def test_a_bridge_port_that_a_rule_names_returns_to_its_bridge(node: Node, crictl: Crictl) -> None:
    """With `allow_protected` a slave may be given; it comes home to its master, with the port's settings."""
    node.add_bridge("br0")
    node.add_bridge_port("port0", bridge="br0")
    node.machine.run("bridge", "link", "set", "dev", "port0", "hairpin", "on", "cost", "77")

    def port() -> tuple[str, dict[str, Any]]:
        [link] = node.ip_json("-details", "link", "show", "dev", "port0")
        data = link.get("linkinfo", {}).get("info_slave_data", {})
        return link.get("master", ""), {key: data.get(key) for key in ("hairpin", "cost", "learning", "flood")}

    before = port()
    rule = "rules: [{namespaces: [default], interfaces: [port0], allow_protected: true}]"
    with node.daemon(config=rule):
        pod = crictl.run_pod("web", annotations={KEY: "- {interface: port0, name: net1}"})

        assert inside(crictl, crictl.run(pod, "app")) == {"net1"}
        crictl.delete_pod(pod)
        wait_until(lambda: claims(node) == [], timeout_s=10, what=lambda: f"home: {claims(node)}")
        assert port() == before


@pytest.mark.matrix
def test_a_name_that_was_taken_meanwhile(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """It comes home under another name, `claims` tells who has its own, and it takes that back once it is free."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")
    node.ip("link", "add", "nic0", "type", "ifb")
    crictl.stop(container)
    (claim,) = wait_until(
        lambda: [c for c in claims(node) if c["state"] == "partial"],
        timeout_s=5,
        what=lambda: f"partial: {claims(node)}",
    )

    assert "name is taken by ifb nic0" in claim["troubles"][0]
    assert claim["ifname_now"] in {link["ifname"] for link in node.ip_json("link")}

    node.ip("link", "delete", "nic0")

    wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_a_pod_level_interface_stays_until_the_pod_goes(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Through restarts of its containers, and home with the pod."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={POD_KEY: "- {interface: nic0, name: net1}"})
    for _ in range(3):
        container = crictl.run(pod, "app")

        assert inside(crictl, container) == {"net1"}

        crictl.stop(container)
    assert node.link("nic0") is None
    crictl.delete_pod(pod)

    wait_home(node, before, "nic0")


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["veth", "macvlan"])
@pytest.mark.parametrize("key", [KEY, POD_KEY])
def test_pods_that_are_deleted_while_the_daemon_is_down(node: Node, crictl: Crictl, kind: str, key: str) -> None:
    """The pin keeps netns and virtual interface alive; the next start brings them home and leaves others alone."""
    dressed(node, kind=kind)
    node.add_veth("nic1")
    before = host_state(node, "nic0")
    with node.daemon() as daemon:
        pod = crictl.run_pod("web", annotations={key: "- {interface: nic0, name: net1}"})
        crictl.run(pod, "app")
        other = crictl.run(crictl.run_pod("other", annotations={key: "- nic1"}), "app")
        daemon.kill9()
    crictl.delete_pod(pod)
    with node.daemon() as daemon:
        daemon.wait_logged("engine.synchronized")
        wait_until(lambda: host_state(node, "nic0") == before, timeout_s=2, what="home within 2 s of Synchronize")
        wait_until(lambda: len(claims(node)) == 1, timeout_s=2, what="one claim")

        assert inside(crictl, other) == {"nic1"}


@pytest.mark.matrix
def test_containers_that_end_while_the_engine_is_down(
    engine: Engine, daemon: Daemon, node: Node, crictl: Crictl
) -> None:
    """The engine is killed, a container dies, the engine comes back and does not mention it."""
    dressed(node)
    before = host_state(node, "nic0")
    container = crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")
    pid = str(crictl.inspect(container)["info"]["pid"])
    engine.kill9()
    node.machine.run("kill", "-9", pid)
    engine.start()

    wait_home(node, before, "nic0")


@pytest.mark.matrix
@pytest.mark.parametrize("daemons", ["the daemon that gave it", "a new daemon"])
def test_a_container_that_dies_while_the_engine_hangs(
    engine: Engine, daemon: Daemon, node: Node, crictl: Crictl, daemons: str
) -> None:
    """Home within a second, though engine and shim are stopped; they go on, tell of the end, and all is well."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")
    pid = str(crictl.inspect(container)["info"]["pid"])
    with contextlib.ExitStack() as stack:
        with engine.frozen():
            if daemons == "a new daemon":
                daemon.kill9()
                daemon = stack.enter_context(node.daemon(wait_registered=False))
                daemon.wait_logged("engine.connecting")
                wait_until(lambda: pidfds(daemon), timeout_s=5, what="its process is watched")
            node.machine.run("kill", "-9", pid)
            wait_until(lambda: host_state(node, "nic0") == before, timeout_s=1, what="home while the engine hangs")

            assert len(daemon.logged("holder.died")) == 1

        wait_until(lambda: crictl.state(container) == "CONTAINER_EXITED", timeout_s=10, what="its end")
        wait_home(node, before, "nic0")
        again = crictl.run(pod, "app")

        assert inside(crictl, again) == {"net1"}

        crictl.delete_pod(pod)
        wait_home(node, before, "nic0")

    assert not daemon.logged("ERROR")


def pidfds(daemon: Daemon) -> list[str]:
    """The processes that a daemon watches."""
    return [info.name for info in Path(f"/proc/{daemon.pid}/fdinfo").iterdir() if "\nPid:\t" in info.read_text()]


@pytest.mark.matrix
def test_a_pod_from_before_an_engine_restart(engine: Engine, daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """containerd sends no pod events for pods from before its restart: their end is noticed all the same."""
    dressed(node)
    before = host_state(node, "nic0")
    pod = crictl.run_pod("web", annotations={POD_KEY: "- nic0"})
    crictl.run(pod, "app")
    engine.restart()
    daemon.wait_logged("engine.synchronized", count=2)
    crictl.delete_pod(pod)

    wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_the_shim_is_killed(make_engine: Callable[..., Engine]) -> None:
    """Even without shim or conmon, which the engine never quite recovers from, the end of the container is noticed."""
    engine = make_engine()
    node, crictl = Node(engine.machine), Crictl(engine)
    dressed(node)
    before = host_state(node, "nic0")
    with node.daemon():
        pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
        crictl.run(pod, "app")
        node.machine.run("pkill", "--signal", "KILL", "--full", "containerd-shim|conmon")

        def removed() -> bool:
            with contextlib.suppress(CriError):  # the kubelet tries again, too
                crictl.remove_pod(pod, force=True)
            return pod not in crictl("pods", "--quiet")

        wait_until(removed, timeout_s=30, what="the pod is removed")

        wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_release_with_the_daemon_and_without(node: Node, crictl: Crictl) -> None:
    """By hand an interface comes home from a living container, through the daemon or in its place."""
    dressed(node)
    before = host_state(node, "nic0")
    with node.daemon() as daemon:
        crictl.run(crictl.run_pod("one", annotations={KEY: "- nic0"}), "app")

        assert node.cli("release", "--yes", "nic0").splitlines()[-1] == "nic0: released"

        wait_home(node, before, "nic0")
        crictl.run(crictl.run_pod("two", annotations={KEY: "- nic0"}), "app")
        daemon.terminate()

        assert node.cli("release", "--yes", "--all").splitlines()[-1] == "nic0: released"

    wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_a_second_daemon_stands_by_and_takes_over(node: Node, crictl: Crictl) -> None:
    """Two at once harm nobody; when the first is killed the second one knows what it held."""
    dressed(node)
    before = host_state(node, "nic0")
    with node.daemon() as first, node.daemon(wait_registered=False) as second:
        second.wait_logged("daemon.standby")
        pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
        container = crictl.run(pod, "app")
        first.kill9()
        second.wait_registered()
        second.wait_logged("engine.synchronized")
        crictl.stop(container)

        wait_home(node, before, "nic0")


@pytest.mark.matrix
def test_without_a_writable_ledger_nothing_is_given(node: Node, crictl: Crictl) -> None:
    """A damaged ledger refuses annotated containers with the reason, and lets all others run."""
    node.add_veth("nic0")
    node.machine.run("sh", "-c", "mkdir -p /var/lib/nri-netdev; echo rubbish > /var/lib/nri-netdev/ledger.db")
    with node.daemon() as daemon:
        daemon.wait_logged("ledger.unusable")
        pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
        with pytest.raises(CriError, match="nothing can be given on this node: cannot open the ledger"):
            crictl.create(pod, "app")

        assert crictl.run(pod, "other")


@pytest.mark.parametrize("back", ["at once", "when the pod is gone"])
def test_killed_at_every_step(node: Node, crictl: Crictl, back: str) -> None:
    """A daemon that dies between any two of its steps, and one that takes over: nothing is lost, nothing left."""
    dressed(node, kind="macvlan")
    before = host_state(node, "nic0")
    for fatal in range(MOST_STEPS):
        program = (sys.executable, Path(__file__).with_name("dies_at_step.py"), str(fatal), "run")
        with node.daemon(program=program) as doomed, contextlib.ExitStack() as stack:
            with contextlib.suppress(CriError):
                pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
                container = crictl.run(pod, "app")
                if doomed.status() is None:
                    crictl.stop(container)
            is_back = back == "at once" and "dies at" in doomed.log_text()
            if is_back:
                stack.enter_context(node.daemon())
            crictl.remove_pod(pod, force=True)
            has_died = is_back or has_died_of_it(doomed, node)
            if has_died and not is_back:
                stack.enter_context(node.daemon())
            wait_home(node, before, "nic0")
            if not has_died:
                assert fatal > 20, "the fault points are passed"
                return
    pytest.fail(f"more than {MOST_STEPS} steps")


def has_died_of_it(daemon: Daemon, node: Node) -> bool:
    """Whether the daemon has killed itself, once it has done all there was to do."""
    wait_until(lambda: daemon.status() is not None or claims(node) == [], timeout_s=10, what="dead or done")
    if daemon.status() is None:
        daemon.terminate()
    return "dies at" in daemon.log_text()


def test_random_churn_with_random_kills(node: Node, crictl: Crictl) -> None:
    """Rounds of random lives and deaths, of the daemon too, and in the end everything is home."""
    rng = random.Random(20)  # noqa: S311
    names = [dressed(node, f"nic{number}", kind) for number, kind in enumerate(("veth", "macvlan", "ifb"))]
    before = host_state(node, *names)
    pods: list[str] = []
    daemon_context = node.daemon()
    daemon = daemon_context.__enter__()
    for number in range(CHURN_ROUNDS):
        match rng.choice(("pod", "pod", "app", "stop", "delete", "kill")):
            case "pod" if len(pods) < 3:
                key = rng.choice((KEY, POD_KEY))
                value = f"- {{interface: {rng.choice(names)}, name: net1}}"
                pods.append(crictl.run_pod(f"p{number}", annotations={key: value}))
                _attempt(crictl, pods[-1])
            case "app" if pods:
                _attempt(crictl, rng.choice(pods))
            case "stop" if pods:
                for container in crictl.containers(rng.choice(pods)):
                    if container["state"] == "CONTAINER_RUNNING":
                        crictl.stop(container["id"])
            case "delete" if pods:
                crictl.remove_pod(pods.pop(rng.randrange(len(pods))), force=True)
            case "kill":
                daemon.send(signal.SIGKILL)
                daemon.wait_ended()
                if rng.random() < 0.5 and pods:
                    crictl.remove_pod(pods.pop(), force=True)
                daemon_context.__exit__(None, None, None)
                daemon_context = node.daemon()
                daemon = daemon_context.__enter__()
            case _:
                pass
    for pod in pods:
        crictl.remove_pod(pod, force=True)
    wait_home(node, before, *names)
    daemon_context.__exit__(None, None, None)


def _attempt(crictl: Crictl, pod: str) -> None:
    """Create and start; being refused is an answer too."""
    try:
        crictl.run(pod, "app")
    except CriError as error:
        if "is held by" not in str(error) and "is being returned" not in str(error):
            raise


@pytest.mark.matrix
def test_the_lan_is_not_what_is_looked_at(node: Node) -> None:
    """The comparison of these tests sees a change: it would not pass for want of data."""
    dressed(node)
    before = host_state(node, "nic0")
    node.ip("route", "del", "203.0.0.128/25", "table", "77", "dev", "nic0")

    assert host_state(node, "nic0") != before
    assert node.ip_json("link", netns=LAN)
