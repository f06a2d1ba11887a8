"""The claims: what hangs on whom stays right whatever is written, and the ledger has what the claims has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nri_netdev.custody.claims import Claims
from nri_netdev.domain.claim import Claim, Netns, Owner, State
from nri_netdev.domain.life import Trigger
from nri_netdev.domain.links import Link
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import StateError
from tests.fakes import FakeLedger
from tests.world import World, entries, inside

PODS = ("p1", "p2")
CONTAINERS = ("", "c1", "c2", "c3")

owners = st.builds(
    lambda scope, pod, container: Owner(
        scope=scope, pod_id=pod, pod_uid="u", namespace="n", pod=pod, container_id=container, container="app"
    ),
    st.sampled_from(Scope),
    st.sampled_from(PODS),
    st.sampled_from(CONTAINERS),
)


def claim_of(number: int, owner: Owner) -> Claim:
    return Claim(
        mark=f"nri-netdev-{number}",
        owner=owner,
        key="k",
        inside="net1",
        netns=Netns(path=f"/run/netns/{owner.pod_id}", dev=4, ino=int(owner.pod_id[1:])),
        snapshot=Snapshot(link=Link(ifindex=number, ifname=f"ens{number}")),
        since_s=0,
        boot_id="b",
    )


def some(data: st.DataObject, claims: tuple[Claim, ...]) -> list[Claim]:
    return (
        data.draw(st.lists(st.sampled_from(claims), unique_by=lambda claim: claim.mark, max_size=3)) if claims else []
    )


def partial(claims: Claims) -> tuple[Claim, ...]:
    """The claims that another may take the place of."""
    return tuple(claim for claim in claims.binding() if claim.state is State.PARTIAL)


BINDING = [state for state in State if state.is_binding]


def check(claims: Claims, ledger: FakeLedger) -> None:
    """Compare what is derived from the claims with the claims."""
    binding, every = claims.binding(), (*claims.binding(), *claims.prepared())
    for holder_id in (*PODS, *filter(None, CONTAINERS)):
        expected = {claim.mark for claim in binding if holder_id in {claim.owner.pod_id, claim.owner.container_id}}
        assert {claim.mark for claim in claims.of(holder_id)} == expected
        assert all(claim in binding for claim in claims.of(holder_id))
    assert set(claims.holders()) == {
        name for claim in every for name in (claim.owner.pod_id, claim.owner.container_id) if name
    }
    assert all(claims.get(claim.mark) is not None for claim in every)
    assert len({claim.mark for claim in every}) == len(every)
    unwritten = {claim.mark for pod in PODS for claim in claims.unwritten(pod)}
    assert set(ledger.rows) == {claim.mark for claim in binding} - unwritten
    assert set(ledger.prepared) == {claim.mark for claim in claims.prepared()} | unwritten
    for netns in {claim.netns for claim in every}:
        assert claims.needs(netns)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_hangs_on_whom_stays_right(data: st.DataObject) -> None:
    """Through promises, preparations, confirmations, changes of owner and ends, in any order; also for the next one."""
    ledger = FakeLedger()
    claims = Claims(ledger)
    numbers: Iterator[int] = iter(range(1, 1000))
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(["promise", "prepare", "confirm", "put", "drop", "restart"])):
            case "promise":
                new = [claim_of(next(numbers), data.draw(owners)) for _ in range(data.draw(st.integers(1, 2)))]
                claims.promise(new, instead_of=some(data, partial(claims)))
            case "prepare":
                owner = replace(data.draw(owners), container_id="")
                claims.prepare([claim_of(next(numbers), owner) for _ in range(data.draw(st.integers(1, 2)))])
            case "confirm":
                container_id = data.draw(st.sampled_from(CONTAINERS[1:]))
                claims.give(some(data, claims.prepared()), container_id, "app", 7)
            case "put":
                for claim in some(data, claims.binding()):
                    claims.put(replace(claim, owner=data.draw(owners), state=data.draw(st.sampled_from(BINDING))))
            case "drop":
                dropped = some(data, (*claims.binding(), *claims.prepared()))
                if dropped:
                    claims.end(Trigger.REBOOTED, *dropped)
            case "restart":
                before = {claim.mark for claim in (*claims.binding(), *claims.prepared())}
                claims = Claims(ledger)
                assert {claim.mark for claim in claims.binding()} == before
                assert not claims.prepared()
        check(claims, ledger)


OWNER = Owner(scope=Scope.CONTAINER, pod_id="p1", pod_uid="u", namespace="n", pod="p1", container_id="", container="a")


def test_a_prepared_claim_is_heard_of_and_is_no_claim() -> None:
    """Events of its pod concern us, its netns is needed, its mark is known, and nobody holds anything."""
    claims = Claims(FakeLedger())
    prepared = claim_of(1, OWNER)
    claims.prepare([prepared])

    assert set(claims.holders()) == {"p1"}
    assert claims.needs(prepared.netns)
    assert claims.get(prepared.mark) == prepared
    assert (claims.binding(), claims.of("p1")) == ((), ())


def test_a_prepared_claim_counts_as_promised_once_it_is_confirmed() -> None:
    """Other prepared claims rest on what has been promised; one that is written or changed promises nothing."""
    claims = Claims(FakeLedger())
    seen = [claims.revision]
    claims.prepare([claim_of(1, OWNER)])
    seen.append(claims.revision)
    claims.give(claims.prepared(), "c1", "a", 7)
    seen.append(claims.revision)
    claims.put(claims.binding()[0])
    claims.promise([claim_of(2, OWNER)], instead_of=())
    seen.append(claims.revision)

    assert seen == [0, 0, 1, 2]


def test_a_ledger_that_fails_leaves_the_claims_as_it_was() -> None:
    """What is not written is neither prepared nor promised."""
    ledger = FakeLedger()
    claims = Claims(ledger)
    ledger.is_full = True
    for write in (claims.prepare, lambda new: claims.promise(new, instead_of=())):
        with pytest.raises(StateError):
            write([claim_of(1, OWNER)])

    assert (claims.binding(), claims.prepared(), set(claims.holders()), claims.revision) == ((), (), set(), 0)


def test_prepared_claims_that_are_left_are_claims_at_the_next_start_even_if_that_cannot_be_written() -> None:
    """A full disk must not hide what may have been given; it is written with the next change."""
    ledger = FakeLedger()
    Claims(ledger).prepare([claim_of(1, OWNER)])
    ledger.is_full = True
    claims = Claims(ledger)

    assert [claim.mark for claim in claims.binding()] == ["nri-netdev-1"]

    ledger.is_full = False
    claims.advance(claims.binding()[0], Trigger.ENDED)

    assert (set(ledger.rows), ledger.prepared) == ({"nri-netdev-1"}, {})


# -- a ledger that fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["prepared", "claim"])
def test_what_the_ledger_could_not_forget_robs_nobody_later(what: str) -> None:
    """A row that stayed because the disk was full is not believed when the next pod has the interface."""
    world = World()
    world.kernel.add("ens2", kind=None)
    pod = world.run_pod()
    if what == "prepared":
        world.prepare(pod, {"app": entries(("ens2", "net2"))})
    else:
        world.run(pod, "app", ("ens2", "net2"))
    world.ledger.is_full = True
    world.remove_pod(pod)
    world.ledger.is_full = False
    other = world.run_pod()
    world.run(other, "app", ("ens2", "net2"))
    world.start_daemon()

    assert inside(world, other) == {"net2"}


def test_a_prepared_claim_in_the_way_goes_with_the_promise() -> None:
    """In one commit: a write that fails once leaves no two rows of one interface, or nothing is given."""
    world = World()
    world.kernel.add("ens2", kind=None)
    world.prepare(world.run_pod(), {"app": entries(("ens2", "net2"))})
    other = world.run_pod()
    write, fails = world.ledger.write, iter([True])

    def once(**changes: object) -> None:
        if next(fails, False):
            raise StateError("cannot write the ledger: database is locked; another process has it locked")
        write(**changes)  # type: ignore[arg-type]

    world.ledger.write = once  # type: ignore[method-assign]
    world.run(other, "app", ("ens2", "net2"))

    assert [claim.ifname for claim in (*world.ledger.rows.values(), *world.ledger.prepared.values())] == ["ens2"]


# -- known faults: written more often than anything changes ------------------------------------------------------------


def prepared_written(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """Every prepared claim that is written from now on."""
    written: list[Claim] = []
    write = world.ledger.write

    def recorded(**changes: object) -> None:
        written.extend(claim for claim in changes.get("put", ()) if not claim.state.is_binding)  # type: ignore[attr-defined]
        write(**changes)  # type: ignore[arg-type]

    monkeypatch.setattr(world.ledger, "write", recorded)
    return written


def test_confirming_a_prepared_claim_leaves_those_of_strangers_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pods as are started at once: each container costs its own work, not that of all who wait."""
    world = World()
    pods = []
    for number in range(8):
        world.kernel.add(f"ens{number}")
        pods.append(world.run_pod())
        world.prepare(pods[-1], {"app": entries((f"ens{number}", "net1"))})
    written = prepared_written(world, monkeypatch)
    world.answer(pods[0], "app", entries(("ens0", "net1")), moves=False)

    assert written == []


def test_an_address_that_grows_older_is_not_written_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of DHCP and of routers have a lifetime; that it runs down is no change."""
    world = World()
    nic = world.kernel.add("ens1")
    look = world.kernel.host.snapshot

    def aged(ifindex: int) -> Snapshot:
        address = replace(nic.addresses[0], valid_lft_s=90_000 - int(world.clock))
        return replace(look(ifindex), taken_s=int(world.clock), addresses=(address,))

    monkeypatch.setattr(world.kernel.host, "snapshot", aged)
    world.prepare(world.run_pod(), {"app": entries(("ens1", "net1"))})
    written = prepared_written(world, monkeypatch)
    for _ in range(3):
        world.clock += 1
        world.custody.tick()

    assert written == []
