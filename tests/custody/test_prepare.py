"""Preparations, against a node in memory: what is made ready is right, binds nobody, and goes when nobody can come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from nri_netdev.custody.prepare import MAX_PREPARED
from nri_netdev.domain.annotations.grammars import Grammar
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX, Claim, State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import EVERYTHING, Policy, Rule
from nri_netdev.domain.policy.selectors import Selector
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.values import Ipam
from nri_netdev.errors import RequestError
from tests.fakes import HOME, Device
from tests.world import World, entries, inside, killed_at, new_world, steps_of


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()


def run_prepared(world: World, name: str, *asked: tuple[str, str]) -> PodSandbox:
    """Run a pod, with what one of its containers will ask for made ready."""
    pod = world.run_pod()
    world.prepare(pod, {name: entries(*asked)})
    return pod


def marks(world: World) -> dict[str, str]:
    """The marks at home, by the interfaces' names."""
    links = [d.link for d in world.kernel.devices if d.netns == HOME]
    return {link.ifname: name for link in links for name in link.altnames if name.startswith(MARK_PREFIX)}


def pods_prepared_for(world: World) -> dict[str, str]:
    """The pods that have a prepared claim, by interface, as the ledger has it."""
    return {claim.ifname: claim.owner.pod_id for claim in world.ledger.prepared.values()}


def device(world: World, ifname: str) -> Device:
    return next(d for d in world.kernel.devices if d.link.ifname == ifname)


def only(world: World) -> Claim:
    (claim,) = world.custody.claims
    return claim


def any_of(kind: str, *, scope: Scope = Scope.CONTAINER, name: str = "net1") -> tuple[Entry, ...]:
    """An entry that leaves the choice to the node."""
    return (
        Entry(
            interface="",
            selector=Selector(kind=kind),
            name=name,
            key="k",
            number=1,
            scope=scope,
            grammar=Grammar.NATIVE,
        ),
    )


ENS1 = ("ens1", "net1")
ENS2 = ("ens2", "net2")


# -- what is made ready ------------------------------------------------------------------------------------------------


def test_a_prepared_claim_is_durable_marked_and_pinned_and_no_claim(world: World) -> None:
    """All is done that must be done before an interface may be given, and nobody has it."""
    pod = run_prepared(world, "app", ENS1, ENS2)

    assert pods_prepared_for(world) == {"ens1": pod.id, "ens2": pod.id}
    assert marks(world) == {claim.ifname: claim.mark for claim in world.ledger.prepared.values()}
    assert world.kernel.pods.pins() == {f"net-{world.namespaces[pod.id].ino}"}
    assert world.custody.claims == ()
    assert world.custody.preparations
    assert set(world.custody.holders()) == {pod.id}


def test_what_is_ready_becomes_a_claim(world: World) -> None:
    """The answer is there at once; the claim in memory, then in the ledger, with the container that has come."""
    was = device(world, "ens1")
    pod = run_prepared(world, "app", ENS1)
    (row,) = world.ledger.prepared.values()
    prepared = world.custody.ready(pod.id, "app")

    assert prepared is not None
    assert prepared.answer == b"ens1=net1"

    world.clock += 7
    world.custody.give(prepared, "c1", "app")

    assert only(world).owner.container_id == "c1"
    assert only(world).state is State.PLANNED
    assert only(world).since_s == world.clock
    assert set(world.custody.holders()) == {pod.id, "c1"}
    assert (set(world.ledger.prepared), world.ledger.rows) == ({row.mark}, {})
    assert not world.custody.preparations
    assert world.custody.ready(pod.id, "app") is None

    world.custody.record("c1")

    assert (world.ledger.prepared, list(world.ledger.rows.values())) == ({}, [only(world)])
    assert only(world).snapshot.addresses == was.addresses


@pytest.mark.parametrize("late", [False, True])
def test_a_life_from_a_prepared_claim(world: World, late: bool) -> None:
    """PodNetnsView under its name with its addresses, and home as it was, whenever the claim is written down."""
    before = world.home()
    pod = run_prepared(world, "app", ENS1, ENS2)
    container = world.answer(pod, "app", entries(ENS1, ENS2), late=late)
    world.start(container)

    assert inside(world, pod) == {"net1", "net2"}
    assert {claim.state for claim in world.ledger.rows.values()} == {State.HELD}

    world.die(container)

    assert world.home() == before
    world.assert_all_is_home()


def test_each_container_of_a_pod_has_its_own(world: World) -> None:
    """Answered by name; who is not named has none."""
    pod = world.run_pod()
    world.prepare(pod, {"one": entries(ENS1), "two": entries(ENS2)})
    answers = {name: world.custody.ready(pod.id, name) for name in ("one", "two", "three")}

    assert [prepared and prepared.answer for prepared in answers.values()] == [b"ens1=net1", b"ens2=net2", None]

    for name, asked in (("two", ENS2), ("one", ENS1)):
        world.start(world.answer(pod, name, entries(asked)))

    assert inside(world, pod) == {"net1", "net2"}


@pytest.mark.parametrize("name", ["one", ""])
def test_what_a_pod_asks_for_comes_with_its_first_container(world: World, name: str) -> None:
    """Whatever that is called; the second finds it there, and it goes home with the pod."""
    pod = world.run_pod()
    asked = entries(ENS1, scope=Scope.POD)
    world.prepare(pod, {"": asked})

    assert world.custody.ready(pod.id, name) is not None

    first = world.answer(pod, name, asked)
    world.start(first)

    assert world.custody.ready(pod.id, "two") is None

    world.start(world.answer(pod, "two", asked))
    world.die(first)

    assert inside(world, pod) == {"net1"}

    world.remove_pod(pod)

    world.assert_all_is_home()


# -- something has changed ---------------------------------------------------------------------------------------------


ANY_ENS = Policy(rules=(Rule(number=1, interfaces=(Selector(interface="ens*"),)),))

CHANGES: dict[str, Callable[[World, PodSandbox], object]] = {
    "alternative name": lambda w, _: w.kernel.change(
        device(w, "ens1"), altnames=(*device(w, "ens1").link.altnames, "slot1")
    ),
    "MAC": lambda w, _: w.kernel.change(device(w, "ens1"), mac="02:ff:ff:ff:ff:ff"),
    "address": lambda w, _: setattr(device(w, "ens1"), "addresses", ()),
    "another's address": lambda w, _: setattr(device(w, "ens2"), "addresses", ()),
    "another interface": lambda w, _: w.kernel.add("ens3"),
    "an interface in the pod": lambda w, pod: w.kernel.move(w.kernel.add("eth0"), w.namespaces[pod.id].ino, "eth0"),
    "policy": lambda w, _: setattr(w.custody.evaluator, "policy", ANY_ENS),
    "a promise to another": lambda w, _: w.create(w.run_pod(), "other", ENS2, moves=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_judged_again(world: World, change: str) -> None:
    """Not ready any more, but given all the same, as it is now; nothing of the prepared claim is left."""
    pod = run_prepared(world, "app", ENS1)
    (mark,) = world.ledger.prepared
    CHANGES[change](world, pod)

    assert world.custody.ready(pod.id, "app") is None

    was, addresses = device(world, "ens1").link, device(world, "ens1").addresses
    container = world.answer(pod, "app", entries(ENS1))

    assert not world.ledger.prepared
    assert mark not in world.ledger.rows
    assert not world.custody.preparations

    world.start(container)
    world.die(container)

    own = tuple(name for name in was.altnames if not name.startswith(MARK_PREFIX))
    assert device(world, "ens1").link == dataclasses.replace(was, altnames=own)
    assert device(world, "ens1").addresses == addresses


@pytest.mark.parametrize("change", CHANGES)
def test_refreshed_it_is_ready_again(world: World, change: str) -> None:
    """With what is so now: one prepared claim, one mark, one row, and a snapshot of this moment."""
    pod = run_prepared(world, "app", ENS1)
    CHANGES[change](world, pod)
    now = device(world, "ens1")
    world.custody.preparations.refresh()
    prepared = world.custody.ready(pod.id, "app")

    assert prepared is not None
    assert (prepared.claims[0].snapshot.link.mac, prepared.claims[0].snapshot.addresses) == (
        now.link.mac,
        now.addresses,
    )
    assert ("slot1" in prepared.claims[0].snapshot.link.altnames) == (change == "alternative name")
    assert pods_prepared_for(world) == {"ens1": pod.id}
    assert marks(world)["ens1"] in world.ledger.prepared
    assert f"net-{world.namespaces[pod.id].ino}" in world.kernel.pods.pins()


def of_any_ens(*, ipam: Ipam | None = None, default_route: bool = False) -> Policy:
    """A policy that gives and lets set everything, with an IPAM profile."""
    rule = Rule(
        number=1, interfaces=(Selector(interface="ens*"),), may=frozenset({EVERYTHING}), default_route=default_route
    )
    return Policy(rules=(rule,), ipam={"storage": ipam} if ipam is not None else {})


LAB = Ipam(type="host-local", document='{"type": "host-local", "subnet": "192.0.2.0/24"}')
OTHER_LAB = Ipam(type="host-local", document='{"type": "host-local", "subnet": "198.51.100.0/24"}')


@pytest.mark.parametrize(
    ("policy", "documents", "may_route_default"),
    [
        (of_any_ens(ipam=LAB), {LAB.document}, False),
        (of_any_ens(ipam=OTHER_LAB), {OTHER_LAB.document}, False),
        (of_any_ens(ipam=LAB, default_route=True), {LAB.document}, True),
    ],
)
def test_what_a_policy_makes_of_an_entry_is_made_anew(
    world: World, policy: Policy, documents: set[str], *, may_route_default: bool
) -> None:
    """An IPAM profile, and whether there may be a default route; what it leaves as it was stays prepared."""
    world.custody.evaluator.policy = of_any_ens(ipam=LAB)
    pod = world.run_pod()
    world.prepare(pod, {"app": entries(ENS1, setup={"ipam": "storage"})})
    before = set(world.ledger.prepared)
    world.custody.evaluator.policy = policy
    world.custody.preparations.refresh()
    prepared = world.custody.ready(pod.id, "app")

    assert prepared is not None
    assert {claim.setup.ipam and claim.setup.ipam.document for claim in prepared.claims} == documents
    assert [claim.may_route_default for claim in prepared.claims] == [may_route_default]
    assert (set(world.ledger.prepared) == before) is (policy == of_any_ens(ipam=LAB))


def test_what_is_as_it_was_is_left_alone(world: World) -> None:
    """Looking again changes nothing."""
    run_prepared(world, "app", ENS1)
    before = dict(world.ledger.prepared)
    for _ in range(3):
        world.custody.preparations.refresh()
        world.custody.tick()

    assert world.ledger.prepared == before


def test_a_change_on_which_no_verdict_depends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot of a prepared claim is read again, in the ledger too; the claim is as ready as before."""
    pod = run_prepared(world, "app", ENS1)
    (mark,) = world.ledger.prepared
    look, sysctls = world.kernel.host.snapshot, {"ipv4/conf/rp_filter": "2"}
    monkeypatch.setattr(world.kernel.host, "snapshot", lambda n: dataclasses.replace(look(n), sysctls=sysctls))
    world.custody.tick()
    assert [claim.snapshot.sysctls for claim in world.ledger.prepared.values()] == [{}]
    monkeypatch.setattr(world.kernel.watch, "touched", frozenset)
    world.custody.tick()
    prepared = world.custody.ready(pod.id, "app")

    assert prepared is not None
    assert [claim.snapshot.sysctls for claim in (*prepared.claims, world.ledger.prepared[mark])] == [sysctls, sysctls]


def test_an_interface_that_is_down_is_looked_at_again(world: World) -> None:
    """The kernel does not tell what changes of it, so its prepared claim is good for `create` alone."""
    world.kernel.change(device(world, "ens1"), is_up=False)
    pod = run_prepared(world, "app", ENS1)
    (mark,) = world.ledger.prepared

    assert world.custody.ready(pod.id, "app") is None

    world.answer(pod, "app", entries(ENS1))

    assert set(world.ledger.rows) == {mark}
    assert not world.ledger.prepared


def test_a_name_that_was_taken_in_the_pod_meanwhile(world: World) -> None:
    """What was right when it was made ready is refused when it no longer is, and nothing is left."""
    pod = run_prepared(world, "app", ENS1)
    world.kernel.move(world.kernel.add("eth0"), world.namespaces[pod.id].ino, "net1")

    with pytest.raises(RequestError, match="net1"):
        world.answer(pod, "app", entries(ENS1))
    assert not world.ledger.prepared
    assert not marks(world)
    assert not world.kernel.pods.pins()


@pytest.mark.parametrize("gone", ["renamed", "unplugged"])
def test_an_interface_that_is_gone(world: World, gone: str) -> None:
    """Its prepared claim goes too, and the create says that it is not on this node."""
    pod = run_prepared(world, "app", ENS1)
    if gone == "renamed":
        world.kernel.change(device(world, "ens1"), ifname="other")
    else:
        world.kernel.devices.remove(device(world, "ens1"))

    assert world.custody.ready(pod.id, "app") is None
    with pytest.raises(RequestError, match="is not on this node"):
        world.answer(pod, "app", entries(ENS1))
    world.assert_all_is_home()


# -- who else is there -------------------------------------------------------------------------------------------------


def test_whoever_comes_first_gets_it(world: World) -> None:
    """A prepared claim binds nobody: another pod's create takes the interface, then the first is told who has it."""
    pod = run_prepared(world, "app", ENS1)
    (mark,) = world.ledger.prepared
    other = world.run_pod()
    world.run(other, "app", ENS1)

    assert inside(world, other) == {"net1"}
    assert not world.ledger.prepared
    assert not world.custody.preparations
    assert mark not in device(world, "net1").link.altnames
    assert world.kernel.pods.pins() == {f"net-{world.namespaces[other.id].ino}"}
    assert set(world.custody.holders()) == {other.id, only(world).owner.container_id}

    assert world.custody.ready(pod.id, "app") is None
    with pytest.raises(RequestError, match=f'"ens1" is held by pod default/{other.id}'):
        world.answer(pod, "app", entries(ENS1))


def test_two_pods_that_will_ask_for_the_same(world: World) -> None:
    """The first has the prepared claim; the second gets the interface all the same if it comes first."""
    first, second = (run_prepared(world, "app", ENS1) for _ in range(2))

    assert pods_prepared_for(world) == {"ens1": first.id}
    assert world.custody.ready(second.id, "app") is None

    world.start(world.answer(second, "app", entries(ENS1)))

    assert inside(world, second) == {"net1"}


def test_who_leaves_the_choice_gets_what_nobody_awaits(world: World) -> None:
    """Pods that ask for any interface of a kind are made ready with different ones, as long as there are some."""
    world.kernel.add("ens3")
    pods = [world.run_pod() for _ in range(3)]
    for pod in pods:
        world.prepare(pod, {"app": any_of("veth")})

    assert pods_prepared_for(world) == {"ens1": pods[0].id, "ens3": pods[1].id}

    for pod in pods[1::-1]:
        world.start(world.answer(pod, "app", any_of("veth")))

    assert inside(world, pods[0]) == inside(world, pods[1]) == {"net1"}


def test_who_names_none_leaves_prepared_claims_to_others_while_there_is_a_choice(world: World) -> None:
    """A create takes what is free, and what another awaits only then."""
    world.kernel.add("ens3")
    pod = run_prepared(world, "app", ENS1)
    world.answer(world.run_pod(), "app", any_of("veth"), moves=False)

    assert pods_prepared_for(world) == {"ens1": pod.id}

    world.answer(world.run_pod(), "app", any_of("veth"), moves=False)

    assert {claim.ifname for claim in world.custody.claims} == {"ens1", "ens3"}
    assert not world.ledger.prepared


# -- what is not made ready, and what ends -----------------------------------------------------------------------------


REFUSED: dict[str, tuple[tuple[str, str], Callable[[World, PodSandbox], object]]] = {
    "no such interface": (("ens9", "net1"), lambda w, pod: None),
    "a name that is taken in the pod": (
        ("ens1", "eth0"),
        lambda w, pod: w.kernel.move(w.kernel.add("eth0"), w.namespaces[pod.id].ino, "eth0"),
    ),
    "no rule": (ENS1, lambda w, pod: setattr(w.custody.evaluator, "policy", Policy())),
    "held by another": (ENS1, lambda w, pod: w.create(w.run_pod(), "app", ENS1, moves=False)),
    "the pod is gone": (ENS1, lambda w, pod: w.kernel.unmount(w.namespaces[pod.id])),
    "the kernel refuses the mark": (ENS1, lambda w, pod: w.kernel.refused.add("mark")),
    "the kernel refuses the pin": (ENS1, lambda w, pod: w.kernel.refused.add("pin")),
    "the ledger is full": (ENS1, lambda w, pod: setattr(w.ledger, "is_full", True)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_given_is_not_made_ready(world: World, why: str) -> None:
    """Nothing is left of the attempt, and nobody is told before the container asks."""
    asked, spoil = REFUSED[why]
    pod = world.run_pod()
    spoil(world, pod)
    before = world.kernel.pods.pins(), marks(world), dict(world.ledger.rows)
    world.prepare(pod, {"app": entries(asked, ENS2)})

    assert not world.custody.preparations
    assert not world.ledger.prepared
    assert (world.kernel.pods.pins(), marks(world), world.ledger.rows) == before


def test_a_pod_on_the_host_network_has_no_prepared_claim(world: World) -> None:
    """Its netns is home."""
    world.prepare(world.run_pod(host=True), {"app": entries(ENS1)})

    world.assert_all_is_home()


def test_no_more_are_awaited_than_there_may_be_open_files(world: World) -> None:
    """Above the bound containers are served as they come."""
    for number in range(MAX_PREPARED + 2):
        world.kernel.add(f"eth{number}")
        run_prepared(world, "app", (f"eth{number}", "net1"))

    assert len(world.ledger.prepared) == MAX_PREPARED


@pytest.mark.parametrize("how", ["told", "unseen", "reconnected", "stopped"])
def test_a_prepared_claim_ends_with_its_pod_or_its_daemon(world: World, how: str) -> None:
    """The pod ended, or went without a word, or nobody knows any more: mark, row and pin are gone."""
    before = world.home()
    pod = run_prepared(world, "app", ENS1, ENS2)
    match how:
        case "told":
            world.remove_pod(pod)
        case "unseen":
            world.remove_pod(pod, told=False)
            world.custody.tick()
        case "reconnected":
            world.synchronize()
        case "stopped":
            world.custody.preparations.withdraw_all()

    assert world.home() == before
    world.assert_all_is_home()


def test_the_end_of_a_pod_ends_its_prepared_claims_alone(world: World) -> None:
    """Others' stay, and stay ready."""
    pod, other = run_prepared(world, "app", ENS1), run_prepared(world, "app", ENS2)
    world.remove_pod(pod)

    assert pods_prepared_for(world) == {"ens2": other.id}
    assert world.custody.ready(other.id, "app") is not None


# -- confirmed, and what it was before ---------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", ["not", "set down", "moved"])
def test_what_it_was_is_what_it_was_before_the_runtime_had_it(world: World, begun: str) -> None:
    """Looked at again when the claim is written down, unless the runtime has begun to move it."""
    nic = device(world, "ens1")
    was = nic.addresses
    pod = run_prepared(world, "app", ENS1)
    prepared = world.custody.ready(pod.id, "app")
    assert prepared is not None
    world.custody.give(prepared, "c1", "app")
    world.kernel.change(nic, mtu=1400)
    if begun == "set down":
        world.kernel.change(nic, is_up=False)
        nic.addresses = ()
    if begun == "moved":
        world.kernel.runtime_create(world.namespaces[pod.id], {"ens1": "net1"})
    world.custody.record("c1")

    assert only(world).snapshot.link.mtu == (1400 if begun == "not" else 1500)
    assert only(world).snapshot.addresses == was
    assert only(world).snapshot.link.is_up


# -- any instant -------------------------------------------------------------------------------------------------------

PAIR = (ENS1, ENS2)


def from_prepared(world: World) -> None:
    """A pod is made ready, and its container served."""
    world.answer(run_prepared(world, "app", *PAIR), "app", entries(*PAIR), moves=False)


@pytest.mark.parametrize("is_given", [False, True])
@pytest.mark.parametrize("left", ["started", "created", "container gone", "pod gone"])
@pytest.mark.parametrize("at", range(1, steps_of(lambda: from_prepared(new_world())) + 2))
def test_killed_at_any_step_everything_is_where_it_belongs(at: int, left: str, is_given: bool) -> None:
    """Whether the engine had its answer and went on or not, what it tells next binds the claims or sends them home."""
    world = new_world()
    before = world.home()
    killed_at(at, lambda: from_prepared(world))
    (pod,) = world.live_pods.values()
    is_given = is_given and bool(world.live)
    if is_given:
        world.kernel.runtime_create(world.namespaces[pod.id], dict(PAIR))
    if not world.live:  # no plugin was asked, or it died before it had answered: the engine goes on without
        world.live["c9"] = Container(id="c9", name="app", pod_id=pod.id, pid=10_009)
    (container,) = world.live.values()
    if left == "started":
        world.namespaces[pod.id].processes.add(container.pid)
        world.live[container.id] = container = dataclasses.replace(container, is_running=True)
    elif left != "created":
        world.die(container, told=False)
    if left == "pod gone":
        world.remove_pod(pod, told=False)
    world.start_daemon()

    assert not world.ledger.prepared
    if left == "created":
        world.custody.start(pod, container, entries(*PAIR))
    world.wait()
    is_inside = left == "created" or (left == "started" and is_given)
    assert inside(world, pod) == ({"net1", "net2"} if is_inside else set())
    if is_inside:
        assert {(claim.owner.container_id, claim.state) for claim in world.custody.claims} == {
            (container.id, State.HELD)
        }
        world.die(container)
    if left != "pod gone":
        world.remove_pod(pod)

    assert world.home() == before
    world.assert_all_is_home()


def taken_by_another(world: World) -> None:
    """A pod's interface is taken by the create of another."""
    run_prepared(world, "app", ENS1)
    world.create(world.run_pod(), "app", ENS1, moves=False)


@pytest.mark.parametrize("at", range(1, steps_of(lambda: taken_by_another(new_world())) + 1))
def test_killed_while_another_takes_it_it_is_nobodys_twice(at: int) -> None:
    """At most one claim is found at the next start, and then either pod may have the interface."""
    world = new_world()
    assert killed_at(at, lambda: taken_by_another(world))
    world.start_daemon(synchronize=False)

    assert len(world.custody.claims) <= 1

    world.synchronize()
    world.wait()
    world.start(world.create(world.run_pod(), "app", ENS1))
    for pod in list(world.live_pods.values()):
        world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_pods_prepared_claim_that_a_daemon_died_over_is_nobodys_until_a_container_comes(world: World) -> None:
    """It binds nobody after a restart either; a container that has come and is not started has it."""
    asked = entries(ENS1, scope=Scope.POD)
    pod = world.run_pod()
    world.prepare(pod, {"": asked})
    world.start_daemon()
    world.wait()

    world.assert_all_is_home()

    world.prepare(pod, {"": asked})
    prepared = world.custody.ready(pod.id, "app")
    assert prepared is not None
    world.live["c9"] = container = Container(id="c9", name="app", pod_id=pod.id, pid=10_009)
    world.start_daemon()
    world.kernel.runtime_create(world.namespaces[pod.id], {"ens1": "net1"})
    world.start(container)

    assert only(world).state is State.HELD

    world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_pod_that_is_told_twice_has_one_prepared_claim(world: World) -> None:
    """An engine may tell again; nothing of the first time is left when the pod has gone."""
    world.kernel.add("ens3")
    pod = world.run_pod()
    for _ in range(2):
        world.prepare(pod, {"app": any_of("veth")})

    assert len(world.ledger.prepared) == 1

    world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_rules_count_holds_for_all_containers_of_a_pod(world: World) -> None:
    """What a rule gives a pod once is not given twice because both were made ready."""
    rules = (Rule(number=1, interfaces=(Selector(interface="ens*"),), count=1),)
    world.custody.evaluator.policy = Policy(rules=rules)
    pod = world.run_pod()
    world.prepare(pod, {"one": entries(ENS1), "two": entries(ENS2)})
    world.answer(pod, "one", entries(ENS1), moves=False)

    with pytest.raises(RequestError, match="rule 1"):
        world.answer(pod, "two", entries(ENS2), moves=False)


def test_nobody_listens_for_changes_while_nothing_is_prepared(world: World) -> None:
    """On some hosts there are very many."""
    pod = run_prepared(world, "app", ENS1)
    assert world.kernel.watch.is_listening
    world.answer(pod, "app", entries(ENS1))

    assert not world.kernel.watch.is_listening
