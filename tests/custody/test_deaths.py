"""Ends that the kernel tells: a dead container's interface comes home, though the engine has not told of its end."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import pytest

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.selectors import Selector
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.world import World, entries, inside, killed_at, new_world, steps_of


def died(world: World, scope: Scope = Scope.CONTAINER) -> tuple[PodSandbox, Container]:
    """A container has died, and the engine does not know yet."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"), scope=scope)
    world.die(container, told=False, noticed=False)
    return pod, container


# -- the way home ------------------------------------------------------------------------------------------------------


def test_comes_home_as_soon_as_the_process_has_ended(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the engine is waited for; one event for each interface says so, and names the process."""
    before = world.home()
    caplog.set_level(logging.INFO)
    _, container = died(world)
    world.custody.deaths.settle()

    assert world.home() == before
    world.assert_all_is_home()
    assert world.custody._holders._liveness == {}
    fields = [record.fields for record in caplog.records if record.message == "holder.died"]  # type: ignore[attr-defined]
    assert [(one["ifname"], one["container"], one["pid"]) for one in fields] == [
        (ifname, "app", container.pid) for ifname in ("ens1", "ens2")
    ]
    assert not any(one["engine_has_told"] for one in fields)


@pytest.mark.parametrize("engine_first", [False, True])
def test_whoever_tells_second_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture, engine_first: bool
) -> None:
    """The engine's StopContainer and the kernel may come in either order."""
    caplog.set_level(logging.INFO)
    _, container = died(world)
    tellers: list[Callable[[], None]] = [world.custody.deaths.settle, lambda: world.custody.end(container.id)]
    for tell in tellers[::-1] if engine_first else tellers:
        tell()
        world.assert_all_is_home()

    assert caplog.messages.count("claim.home") == 2
    assert caplog.messages.count("holder.died") == (0 if engine_first else 2)


def test_a_tick_finds_what_no_pidfd_has_told(world: World) -> None:
    """The timer looks, too."""
    died(world)
    world.custody.tick()

    world.assert_all_is_home()


def test_the_netns_may_have_gone_before(world: World) -> None:
    """CRI-O removes it before it tells of the pod's end; the pin keeps it."""
    pod, _ = died(world)
    world.kernel.unmount(world.namespaces[pod.id])
    world.custody.deaths.settle()

    world.assert_all_is_home()


def test_what_cannot_come_home_at_once_comes_later(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The kernel refuses to move it, and then no longer; meanwhile an engine comes back that lists it as running."""
    caplog.set_level(logging.INFO)
    died(world)
    world.kernel.refused.add("bring_home")
    world.custody.deaths.settle()

    assert {claim.state for claim in world.custody.claims} == {State.RETURNING}
    assert not world.kernel.pidfds.watched

    world.synchronize()

    assert caplog.messages.count("holder.died") == 2

    world.kernel.refused.clear()
    for _ in range(10):
        world.custody.tick()

    world.assert_all_is_home()


def test_the_next_container_of_the_pod_gets_it_again(world: World) -> None:
    """The kubelet restarts it before any end of the first was told."""
    pod, _ = died(world)
    world.custody.deaths.settle()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))

    assert inside(world, pod) == {"net1", "net2"}


def test_what_is_released_is_watched_no_more(world: World) -> None:
    """By force, while its holder runs on."""
    world.run(world.run_pod(), "app", ("ens1", "net1"))
    world.ledger.asked = set(world.ledger.rows)
    world.custody.tick()

    world.assert_all_is_home()


# -- who does not die so -----------------------------------------------------------------------------------------------


def test_a_pods_claim_outlives_its_containers(world: World) -> None:
    """It ends with the pod, whichever processes end before."""
    pod, _ = died(world, Scope.POD)
    world.custody.deaths.settle()
    world.custody.tick()

    assert inside(world, pod) == {"net1", "net2"}
    assert not world.kernel.pidfds.watched


def test_a_container_that_was_never_started_is_not_dead(world: World) -> None:
    """It has no process yet, in the engine's list neither."""
    pod = world.run_pod()
    world.create(pod, "app", ("ens1", "net1"))
    world.synchronize()
    world.custody.tick()

    assert inside(world, pod) == {"net1"}


def test_a_container_whose_start_was_refused_ends_with_its_process(world: World) -> None:
    """It was stopped before it ran; its process waited to be started, and has been killed."""
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"))
    world.kernel.refused.add("complete")
    with pytest.raises(RequestError, match="did not arrive"):
        world.start(container)

    assert world.custody.claims
    assert world.kernel.pidfds.watched

    world.die(container, told=False, noticed=False)
    world.custody.deaths.settle()

    world.assert_all_is_home()


def test_a_process_elsewhere_is_not_the_containers(world: World) -> None:
    """Its pid was told by an engine in another pid namespace, or is that of a runtime's helper on the host."""
    pod = world.run_pod()
    container = dataclasses.replace(world.create(pod, "app", ("ens1", "net1")), pid=4711)
    world.kernel.new_netns(processes=[4711])
    world.custody.start(pod, container, ())
    world.kernel.exit(4711)
    world.custody.tick()

    assert [(claim.state, claim.pid) for claim in world.custody.claims] == [(State.HELD, 0)]
    assert not world.kernel.pidfds.watched


def test_a_pid_that_is_given_to_another_process_hides_nothing(world: World) -> None:
    """The first process has ended; that its pid is alive again, in the same netns even, does not count."""
    pod, container = died(world)
    world.namespaces[pod.id].processes.add(container.pid)
    world.custody.deaths.settle()

    world.assert_all_is_home()


# -- a new daemon, an engine that is away ------------------------------------------------------------------------------


@pytest.mark.parametrize("synchronize", [False, True])
def test_a_new_daemon_watches_who_runs(world: World, synchronize: bool) -> None:
    """By the engine's list, or, while there is no engine, by the ledger and the netns that the process is in."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.start_daemon(synchronize=synchronize)
    world.custody.tick()

    assert world.kernel.pidfds.watched == {container.id: container.pid}

    world.die(container, told=False, noticed=False)
    world.custody.deaths.settle()

    world.assert_all_is_home()


def test_a_container_that_started_while_no_daemon_ran_is_watched(world: World) -> None:
    """Its pid comes with the engine's list."""
    container = world.create(world.run_pod(), "app", ("ens1", "net1"))
    world.namespaces[container.pod_id].processes.add(container.pid)
    world.live[container.id] = dataclasses.replace(container, is_running=True)
    world.start_daemon()

    assert world.kernel.pidfds.watched == {container.id: container.pid}

    world.die(container, told=False, noticed=False)
    world.custody.deaths.settle()

    world.assert_all_is_home()


@pytest.mark.parametrize("scope", Scope)
def test_a_holder_that_a_daemon_died_over_is_watched(world: World, scope: Scope) -> None:
    """What was given and not written down as given is bound to its container, with its process; or to its pod."""
    pod = world.run_pod()
    asked = entries(("ens1", "net1"), scope=scope)
    world.prepare(pod, {"app": asked})
    container = world.answer(pod, "app", asked)
    world.ledger.kept = {m: dataclasses.replace(c, state=State.PREPARED) for m, c in world.ledger.kept.items()}
    world.namespaces[pod.id].processes.add(container.pid)
    world.live[container.id] = dataclasses.replace(container, is_running=True)
    world.start_daemon()

    world.wait()
    is_containers = scope is Scope.CONTAINER

    assert [(claim.state, claim.pid) for claim in world.custody.claims] == [
        (State.HELD, container.pid if is_containers else 0)
    ]

    world.die(container, told=False, noticed=False)
    world.custody.deaths.settle()

    assert bool(world.custody.claims) != is_containers

    world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_new_daemon_finds_who_died_before_it_came(world: World) -> None:
    """The engine still lists it as running; its process, which the daemon before had seen, is gone."""
    died(world)
    world.start_daemon()

    world.assert_all_is_home()


@pytest.mark.parametrize("why", ["no engine", "another pid namespace"])
def test_a_pid_that_may_mean_nothing_here_ends_nobody(world: World, why: str) -> None:
    """A new daemon sees no such process: without the engine, or in another pid namespace, that proves nothing."""
    pod, container = died(world)
    world.shares_pids = why == "no engine"
    world.start_daemon(synchronize=not world.shares_pids)
    world.custody.tick()

    assert inside(world, pod) == {"net1", "net2"}

    world.custody.end(container.id)

    world.assert_all_is_home()


def test_a_pid_of_the_ledger_that_another_has_now_ends_nobody(world: World) -> None:
    """Not before the engine has told: then the holder is missing from its list."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.kernel.exit(container.pid)
    world.kernel.new_netns(processes=[container.pid])
    world.start_daemon(synchronize=False)
    world.custody.tick()
    world.kernel.exit(container.pid)
    world.custody.tick()

    assert inside(world, pod) == {"net1"}

    del world.live[container.id]
    world.synchronize()

    world.assert_all_is_home()


def test_a_list_that_is_behind_revives_nobody(world: World) -> None:
    """The engine comes back and still lists as running what has died and is home."""
    _, container = died(world)
    world.custody.deaths.settle()
    world.synchronize()

    world.assert_all_is_home()
    assert world.custody.deaths.is_dead(world.live[container.id])


def test_one_that_runs_is_not_dead(world: World) -> None:
    """Nor is one without a process, or any while the engine is in another pid namespace."""
    running = world.run(world.run_pod(), "app", ("ens1", "net1"))
    is_dead = world.custody.deaths.is_dead

    assert not is_dead(running)
    assert not is_dead(dataclasses.replace(running, pid=0))
    assert is_dead(dataclasses.replace(running, pid=4711))

    world.shares_pids = False
    world.synchronize()

    assert not is_dead(dataclasses.replace(running, pid=4711))


# -- nobody is in the way ----------------------------------------------------------------------------------------------

BY_NAME = entries(("ens2", "net1"))
BY_KIND = tuple(dataclasses.replace(entry, interface="", selector=Selector(kind="veth")) for entry in BY_NAME)


@pytest.mark.parametrize("is_watched", [True, False])
@pytest.mark.parametrize("asked", [entries(("ens1", "net1")), BY_KIND], ids=["by name", "by selector"])
def test_a_dead_holder_is_in_nobodys_way(world: World, asked: tuple[Entry, ...], is_watched: bool) -> None:
    """Another pod's container is created before anybody has told of the end, or looked."""
    died(world)
    if not is_watched:
        world.kernel.pidfds.close()
    pod = world.run_pod()
    world.answer(pod, "app", asked)

    assert inside(world, pod) == {"net1"}
    assert [claim.owner.pod for claim in world.custody.claims if claim.ifname == "ens1"] == [pod.name]

    world.custody.deaths.settle()

    assert [claim.ifname for claim in world.custody.claims] == ["ens1"]


def test_what_is_wanted_comes_home_and_the_rest_waits(world: World) -> None:
    """An engine waits for the create: what it does not ask for is left for afterwards."""
    died(world)
    pod = world.run_pod()
    world.answer(pod, "app", entries(("ens1", "net1")))

    assert {(claim.ifname, claim.state) for claim in world.custody.claims} == {
        ("ens2", State.HELD),
        ("ens1", State.PLANNED),
    }


def test_what_is_prepared_is_given_though_another_has_died(world: World) -> None:
    """The death of one pod's container costs another's nothing."""
    first, other = world.run_pod(), world.run_pod()
    container = world.run(first, "app", ("ens1", "net1"))
    world.prepare(other, {"app": entries(("ens2", "net1"))})
    world.die(container, told=False, noticed=False)
    prepared = world.custody.ready(other.id, "app")

    assert prepared is not None
    assert [claim.ifname for claim in prepared.claims] == ["ens2"]


def test_a_namesake_with_a_recycled_pid_is_superseded(world: World) -> None:
    """The container is created again after its pid has gone to another process."""
    pod, container = died(world)
    world.kernel.new_netns(processes=[container.pid])
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))

    assert inside(world, pod) == {"net1", "net2"}


# -- any instant -------------------------------------------------------------------------------------------------------


def unheard(world: World) -> None:
    """Two containers die unheard; the kernel tells of one, and a third is created in the way of the other."""
    pod, other = world.run_pod(), world.run_pod()
    first = world.run(pod, "app", ("ens1", "net1"))
    second = world.run(other, "app", ("ens2", "net1"))
    world.die(first, told=False, noticed=False)
    world.custody.deaths.settle()
    world.die(second, told=False, noticed=False)
    world.run(pod, "two", ("ens2", "net2"))


@pytest.mark.parametrize("synchronize", [True, False])
@pytest.mark.parametrize("at", range(1, steps_of(lambda: unheard(new_world())) + 1))
def test_killed_at_any_step_the_next_daemon_finishes(at: int, synchronize: bool) -> None:
    """The dead hold nothing once the engine is there, and in the end all is home."""
    world = new_world()
    before = world.home()

    assert killed_at(at, lambda: unheard(world))
    world.start_daemon(synchronize=synchronize)
    world.wait()
    dead = {c.id for c in world.live.values() if c.pid and not world.kernel.processes.is_alive(c.pid)}

    assert not synchronize or not dead & {claim.owner.container_id for claim in world.custody.claims}

    for pod in list(world.live_pods.values()):
        world.remove_pod(pod, told=False)
    world.start_daemon()

    assert world.home() == before
    world.assert_all_is_home()
