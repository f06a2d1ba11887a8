"""A reboot, and a loss of power, while interfaces are in pods: the ledger opens, and what it says is true."""

from __future__ import annotations

import json
import random
import time

import pytest

from tests.vm.conftest import IS_ALL
from tests.vm.kinds import KINDS
from tests.vm.lives import LIVES
from tests.vm.places import InMachine
from tests.vm.scene import Scene, wait

ROUNDS = 30 if IS_ALL else 1
pytestmark = pytest.mark.parametrize("place", ["stable"], indirect=True)


def _must_be_home(place: InMachine) -> None:
    """No claim is left, no mark and no name of ours; the cards have the names that udev gives them."""
    place.start_engine()
    place.start_daemon()
    wait(lambda: not place.claims(), patience_s=place.patience_s, why=f"no claim: {place.claims()}")
    links = json.loads(place.sh("ip -json link show"))
    names = {link["ifname"] for link in links}
    assert {"enp1s0", "enp2s0", "enp3s0", "enp4s0"} <= names, names
    marked = [link for link in links for name in link.get("altnames", ()) if name.startswith("nri-netdev-")]
    assert not marked, marked
    assert "Traceback" not in place.vm.log("nri-netdev", lines=400)


def _can_be_given(place: InMachine) -> None:
    place.warm()
    scene = Scene(place, KINDS["nic"])
    scene.prepare()
    LIVES["stopped"](scene)
    scene.must_be_whole()


@pytest.mark.vm_all
def test_a_reboot_while_a_pod_has_it(place: InMachine) -> None:
    """Nothing is held afterwards; the interface can be given again."""
    scene = Scene(place, KINDS["nic"])
    scene.prepare()
    scene.give()
    place.vm.reboot()
    _must_be_home(place)
    _can_be_given(place)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_power_is_lost(place: InMachine, seed: int) -> None:
    """At a random moment of giving, holding and returning."""
    dice = random.Random(seed)  # noqa: S311 - tests are to be repeated
    scene = Scene(place, KINDS["nic"])
    scene.prepare()
    asks = json.dumps([{"interface": scene.ifname, "name": "net1"}])
    pod = place.crictl.run_pod("web", annotations={"nri-netdev.io/container.app": asks})
    container = place.crictl.create(pod, "app")
    place.sh(
        f"(crictl start {container}; sleep 1; crictl stop --timeout=0 {container}; crictl stopp {pod})"
        " >/dev/null 2>&1 </dev/null &"
    )
    time.sleep(dice.uniform(0, 8))
    place.vm.pull_the_plug()
    place.vm.boot()
    _must_be_home(place)
    if not IS_ALL:
        _can_be_given(place)
