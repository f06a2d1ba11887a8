"""Every kind of link comes home whole from everything that may happen to its container, or is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.cri import CriError
from tests.vm.conftest import IS_ALL, row_of
from tests.vm.kinds import KINDS
from tests.vm.lives import LIVES
from tests.vm.places import InMachine, OnHost
from tests.vm.scene import LackingError, Place, Scene

_CARDS = {"stable": InMachine.cards, "newest": InMachine.cards, "here": OnHost.cards}
_USUAL: dict[str, dict[str, tuple[str, ...]]] = {
    "stable": {
        "nic": ("stopped", "spoiled"),
        "virtio-net": ("without_daemon",),
        "igb": ("restarted",),
        "vf": ("stopped",),
        "pf-with-vfs": ("spoiled",),
        "vlan": ("renamed",),
        "nic-with-vlans": ("stopped",),
        "bond-port": ("displaced",),
        "team-port": ("stopped",),
        "netdevsim-with-vfs": ("spoiled",),
        "rdma-shared": ("renamed",),
    },
    "newest": {"nic": ("without_engine",), "vf": ("spoiled",), "rdma-exclusive": ("stopped",)},
}
"""What is tried of what needs real drivers; of what a stand-in machine has, each kind there by one life."""


def _chosen() -> Iterator[object]:
    """Kind, life and place: with ``VM=all`` each with each."""
    for where, cards in _CARDS.items():
        for number, kind in enumerate(KINDS.values()):
            if kind.refused or not kind.cards <= cards.keys() or kind.place not in {"", where}:
                continue
            in_turns = tuple(LIVES)[number % len(LIVES)]
            usual = _USUAL.get(where, {kind.name: (in_turns,)}).get(kind.name, ())
            for life in LIVES:
                marks = () if life in usual else (pytest.mark.vm_all,)
                yield pytest.param(where, kind.name, life, id=f"{where}-{kind.name}-{life}", marks=marks)


def prepare(scene: Scene) -> None:
    """Make the interface; skips the test where the kernel of this machine cannot."""
    try:
        scene.prepare()
    except LackingError as error:
        if isinstance(scene.place, InMachine):
            raise
        pytest.skip(f"NOT TESTED ON THIS KERNEL: {error}")


@pytest.mark.parametrize(("place", "kind", "life"), [*_chosen()], indirect=["place"])
def test_it_comes_home_whole(place: Place, kind: str, life: str) -> None:
    """All that is told by programs which are not ours is as before."""
    scene = Scene(place, KINDS[kind])
    prepare(scene)
    row = row_of(kind)
    if IS_ALL:
        row.told = row.told or scene.told()
    LIVES[life](scene)
    row.lost = scene.must_be_whole() or row.lost


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.refused])
@pytest.mark.parametrize(
    "place", ["here", *(pytest.param(where, marks=pytest.mark.vm_all) for where in ("stable", "newest"))], indirect=True
)
def test_what_cannot_be_given_is_refused_before_anything_moves(place: Place, kind: str) -> None:
    """With a reason in words; nothing is claimed, nothing has changed."""
    scene = Scene(place, KINDS[kind])
    prepare(scene)
    with pytest.raises(CriError) as refusal:
        scene.give()
    assert re.search(KINDS[kind].refused, str(refusal.value)), refusal.value
    row_of(kind).refusal = str(refusal.value).rpartition(": ")[2].partition(" (annotation")[0]
    assert place.claims() == []
    scene.delete()
    scene.must_be_whole()
