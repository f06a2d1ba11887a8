"""Settling a claim: the three readings are taken, the tables decide, and what was decided is done."""

from __future__ import annotations

import pytest

from nri_netdev.custody.settle import AGAIN_AT_LATEST_S, LOST_AFTER_S
from nri_netdev.domain.claim import State
from nri_netdev.errors import RequestError
from tests.world import SABOTAGE, World, inside


def test_nothing_is_touched_before_the_engine_has_told(world: World) -> None:
    """A daemon that has just started does not know who lives; it waits."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))
    world.start_daemon(synchronize=False)
    world.custody.settle()
    world.custody.tick()

    assert inside(world, pod) == {"net1"}


@pytest.mark.parametrize("kind", ["veth", None])
@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_whatever_a_container_does_to_it_it_comes_home(sabotage: str, kind: str | None) -> None:
    """An interface that was renamed, changed, stripped of its mark or moved on is found all the same, and restored."""
    world = World()
    device = world.kernel.add("ens9", kind=kind)
    was, addresses = device.link, device.addresses
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens9", "net1"))
    SABOTAGE[sabotage](world, device)
    world.die(container)

    assert (device.link, device.addresses) == (was, addresses)
    world.assert_all_is_home()


def test_a_name_that_is_taken_is_told_and_taken_back_when_it_is_free(world: World) -> None:
    """It comes home under another name, says by whom its own is taken, and gets it back later."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    rival = world.kernel.add("ens1")
    world.die(container)
    (claim,) = world.custody.claims

    assert claim.state is State.PARTIAL
    assert "ens1" in claim.troubles[0]
    assert claim.home_ifname in world.home()

    with pytest.raises(RequestError, match="is being returned"):
        world.create(pod, "app", ("ens1", "net1"))
    world.kernel.change(rival, ifname="other")
    world.clock += AGAIN_AT_LATEST_S
    world.custody.settle()

    world.assert_all_is_home()
    assert {"ens1", "other"} <= set(world.home())


def test_what_could_not_be_restored_is_kept_and_tried_again(world: World) -> None:
    """A route that is refused keeps the claim, not the interface: the next container may have it."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.kernel.refused.add("routes")
    world.die(container)

    assert world.custody.claims[0].troubles == ("its route could not be restored: no gateway",)

    container = world.run(pod, "app", ("ens1", "net1"))

    assert len(world.custody.claims) == 1

    world.kernel.refused.clear()
    world.die(container)

    world.assert_all_is_home()


def test_a_claim_ends_with_the_device(world: World) -> None:
    """A NIC that was taken out of the machine is looked for a while; what is put in again is free."""
    nic = world.kernel.add("ens9", kind=None)
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens9", "net1"))
    device = next(d for d in world.kernel.devices if d.link.ifname == "net1")
    world.kernel.devices.remove(device)
    world.kernel.unplugged.add(nic.link.parent_dev)
    world.die(container)

    assert world.custody.claims[0].state is State.RETURNING

    world.clock += LOST_AFTER_S
    world.custody.tick()

    assert world.custody.claims == ()


def test_a_lost_interface_is_told_kept_and_found_again(world: World) -> None:
    """It counts as lost only after a while, stays in the ledger, and goes home by itself when it turns up."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    device = next(d for d in world.kernel.devices if d.link.ifname == "net1")
    world.kernel.devices.remove(device)
    world.die(container)

    assert world.custody.claims[0].state is State.RETURNING

    world.clock += LOST_AFTER_S
    world.custody.tick()

    assert world.custody.claims[0].state is State.LOST
    assert "nri-netdev release ens1" in world.custody.claims[0].troubles[0]

    world.kernel.devices.append(device)
    world.custody.settle()

    world.assert_all_is_home()


def test_release_brings_home_from_a_living_holder_and_forgets_what_is_lost(world: World) -> None:
    """Each claim that is released by hand ends, whoever holds it and wherever its interface is."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))
    world.kernel.devices = [d for d in world.kernel.devices if d.link.ifname != "net2"]
    world.ledger.asked = {claim.mark for claim in world.custody.claims}
    world.custody.tick()

    world.assert_all_is_home()
    assert set(world.home()) == {"ens1"}
