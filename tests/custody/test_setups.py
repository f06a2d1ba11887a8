"""What is set on an interface in a pod, and shares of interfaces: from the promise to the end, whatever is killed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nri_netdev.custody.returning import AtOnce, Beside, StillReturning
from nri_netdev.domain.claim import State
from nri_netdev.domain.policy.rules import Policy, Rule
from nri_netdev.domain.policy.selectors import Selector
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.custody.test_returning import Slow
from tests.fakes import HOME, Device, FakePlugins
from tests.world import World, entries, inside, killed_at, new_world

SET = {"mtu": 9000, "addresses": ["203.0.113.9/24"]}
SHARE = {"share": "macvlan"}
ENS1 = ("ens1", "net1")


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()


def device_in(world: World, ino: int) -> Device:
    [device] = [device for device in world.kernel.devices if device.netns == ino]
    return device


def run(world: World, setup: dict[str, object], *, ifname: str = "net1", scope: Scope = Scope.CONTAINER) -> str:
    """A pod with a container that runs; the pod's id."""
    pod = world.run_pod()
    world.start(world.answer(pod, "app", entries(("ens1", ifname), scope=scope, setup=setup)))
    return pod.id


def test_it_is_set_before_the_process_runs(world: World) -> None:
    """In place of what the interface had at home, which it has again afterwards."""
    before = world.home()
    pod_id = run(world, SET)
    device = device_in(world, world.namespaces[pod_id].ino)

    assert (device.link.mtu, [str(one) for one in device.addresses]) == (9000, ["203.0.113.9/24"])

    world.remove_pod(world.live_pods[pod_id])
    assert world.home() == before
    assert device.link.mtu == 1500
    world.assert_all_is_home()


@pytest.mark.parametrize("scope", Scope)
def test_what_the_kernel_refuses_stops_the_start(world: World, scope: Scope) -> None:
    """The container does not run, and the interface comes home though the pod stays."""
    before = world.home()
    pod = world.run_pod()
    container = world.answer(pod, "app", entries(ENS1, scope=scope, setup=SET))
    world.kernel.refused.add("apply")
    with pytest.raises(RequestError, match="ens1 did not arrive: cannot apply"):
        world.start(container)
    world.die(container)

    assert world.home() == before
    assert world.custody.claims == ()

    world.kernel.refused.clear()
    world.start(world.answer(pod, "app", entries(ENS1, scope=scope, setup=SET)))
    assert inside(world, pod) == {"net1"}


def test_two_pods_share_an_interface(world: World) -> None:
    """It stays at home as it is; each has a device of its own, which is deleted when its pod ends."""
    before = world.home()
    first, second = run(world, SHARE), run(world, SHARE)

    assert world.home() == before
    for pod_id in (first, second):
        assert device_in(world, world.namespaces[pod_id].ino).link.kind == "macvlan"
    assert {claim.state for claim in world.custody.claims} == {State.HELD}

    world.remove_pod(world.live_pods[first])
    assert len(world.custody.claims) == 1
    world.remove_pod(world.live_pods[second])
    world.assert_all_is_home()


def test_nobody_has_what_others_share(world: World) -> None:
    """Nor a share of what somebody has."""
    shared = run(world, SHARE)
    with pytest.raises(RequestError, match=f'interface "ens1" is held by pod default/{shared}, container app'):
        run(world, {})
    world.remove_pod(world.live_pods[shared])
    run(world, {})
    with pytest.raises(RequestError, match='interface "ens1" is held by'):
        run(world, SHARE)


def test_a_share_of_another_mode(world: World) -> None:
    """All ipvlans of an interface have one mode, and no macvlan is beside them."""
    run(world, {"share": {"type": "ipvlan", "mode": "l2"}})
    run(world, {"share": {"type": "ipvlan", "mode": "l2"}})
    for other in ({"share": {"type": "ipvlan", "mode": "l3"}}, SHARE):
        with pytest.raises(RequestError, match="has an ipvlan in mode l2 on ens1, which does not go with"):
            run(world, other)


def test_a_share_needs_a_rule_that_gives_shares(world: World) -> None:
    """The refusal says which rule would."""
    rule = Rule(number=1, namespaces=("default",), interfaces=(Selector(interface="ens1"),))
    world.custody.evaluator.policy = Policy(rules=(rule,))
    with pytest.raises(RequestError, match="is not to be shared: rule 1 would let it with share: true"):
        run(world, SHARE)


def test_a_share_that_somebody_deletes(world: World) -> None:
    """It is told, and its end is an end like any other."""
    pod_id = run(world, SHARE)
    world.kernel.devices.remove(device_in(world, world.namespaces[pod_id].ino))
    world.custody.settle()
    [claim] = world.custody.claims
    assert claim.troubles == (
        f"the device of pod default/{pod_id}, container app on ens1 is gone: somebody has deleted it, or ens1",
    )
    world.remove_pod(world.live_pods[pod_id])
    world.assert_all_is_home()


@pytest.mark.parametrize("setup", [SET, SHARE], ids=json.dumps)
@pytest.mark.parametrize("at", range(1, 16))
def test_killed_at_any_step(world: World, setup: dict[str, object], at: int) -> None:
    """Of a whole life; the next daemon finishes what was begun, and nothing is left."""
    before = world.home()

    def live() -> None:
        pod_id = run(world, setup)
        world.remove_pod(world.live_pods[pod_id])

    if killed_at(at, live):
        world.start_daemon()
        for pod in list(world.live_pods.values()):
            for container in [each for each in world.live.values() if not each.is_running]:
                started = dataclasses.replace(container, pid=20_000)
                world.namespaces[pod.id].processes.add(started.pid)
                world.custody.start(pod, started, entries(ENS1, setup=setup))
                assert device_in(world, world.namespaces[pod.id].ino).link.mtu == (9000 if setup == SET else 1500)
                world.kernel.exit(started.pid)
            world.remove_pod(pod)
    world.wait()
    world.custody.tick()

    assert world.home() == before
    assert all(device.netns == HOME for device in world.kernel.devices)
    world.assert_all_is_home()


# -- pods whose first container never started --------------------------------------------------------------------------


@pytest.mark.parametrize("setup", [SET, SHARE, {}], ids=json.dumps)
def test_another_container_brings_in_what_the_first_did_not(world: World, setup: dict[str, object]) -> None:
    """The first was created and never started; the second is refused, or has it."""
    asked = entries(ENS1, scope=Scope.POD, setup=setup)
    pod = world.run_pod()
    world.answer(pod, "one", asked, moves=False)
    second = world.answer(pod, "two", asked, moves=False)
    world.namespaces[pod.id].processes.add(second.pid)
    world.custody.start(pod, second, asked)

    assert inside(world, pod) == {"net1"}
    assert [claim.state for claim in world.custody.claims] == [State.HELD]
    world.remove_pod(pod)
    world.assert_all_is_home()


@pytest.mark.parametrize("setup", [SET, SHARE], ids=json.dumps)
def test_a_pod_that_runs_without_it_is_found(world: World, setup: dict[str, object]) -> None:
    """No daemon was there when its container started: the claim is over, so that it is told what is missing."""
    before = world.home()
    asked = entries(ENS1, scope=Scope.POD, setup=setup)
    pod = world.run_pod()
    container = world.answer(pod, "one", asked, moves=False)
    world.live[container.id] = dataclasses.replace(container, is_running=True)
    world.namespaces[pod.id].processes.add(container.pid)
    world.start_daemon()

    assert world.custody.claims == ()
    assert world.custody.missing(pod, container, asked) == asked
    assert world.home() == before


def test_a_container_that_runs_without_what_it_asked_for_is_told_of(world: World) -> None:
    """A daemon died before it was set; what the kernel refuses is in nobody's way of starting any more."""
    pod = world.run_pod()
    container = world.answer(pod, "app", entries(ENS1, setup=SET))
    world.live[container.id] = dataclasses.replace(container, is_running=True)
    world.namespaces[pod.id].processes.add(container.pid)
    world.kernel.refused.add("apply")
    world.start_daemon()
    [claim] = world.custody.claims
    assert claim.state is State.PLANNED
    told = f"pod default/{pod.id}, container app runs, and net1 is not as it asked"
    assert claim.troubles == (f"{told}: cannot apply: Device or resource busy (EBUSY)",)

    world.kernel.refused.clear()
    for _ in range(10):
        world.custody.tick()
    [claim] = world.custody.claims
    assert (claim.state, claim.troubles) == (State.HELD, ())


def test_a_restart_waits_for_the_name(world: World) -> None:
    """Of the share that the container before it had."""
    slow = Slow()
    world = World(beside=Beside(returns=slow))
    world.kernel.add("ens1")
    asked = entries(ENS1, setup=SHARE)
    pod = world.run_pod()
    container = world.answer(pod, "app", asked)
    world.start(container)
    world.die(container)
    with pytest.raises(StillReturning):
        world.answer(pod, "app", asked)
    slow.go()
    world.start(world.answer(pod, "app", asked))
    assert inside(world, pod) == {"net1"}


# -- addresses of IPAM plugins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_parked", [False, True])
def test_a_plugin_that_gives_a_share_the_nodes_address(is_parked: bool) -> None:
    """The container does not start, however long the plugin took."""
    runs = Slow() if is_parked else AtOnce()
    world = World(beside=Beside(plugins=FakePlugins(first=1), plugin_runs=runs))
    world.kernel.add("ens1")
    pod = world.run_pod()
    asked = entries(ENS1, setup={**SHARE, "ipam": {"type": "dhcp"}})
    container = world.answer(pod, "app", asked)
    world.namespaces[pod.id].processes.add(container.pid)
    if isinstance(runs, Slow):
        with pytest.raises(StillReturning):
            world.custody.start(pod, container, asked)
        runs.go()
    with pytest.raises(RequestError, match=r"192\.0\.2\.1: it is an address of the node"):
        world.custody.start(pod, container, asked)
    assert world.custody.claims[0].state is State.PLANNED


def test_an_address_is_free_again_before_the_next_container() -> None:
    """Of a range of one: it is taken back when the interface is home, not at the next look."""
    plugins = FakePlugins()
    world = World(beside=Beside(plugins=plugins))
    world.kernel.add("ens1")
    pod = world.run_pod()
    asked = entries(ENS1, setup={"ipam": {"type": "dhcp"}})
    container = world.answer(pod, "app", asked)
    world.start(container)
    assert len(plugins.given) == 1
    world.die(container)
    assert plugins.given == {}
