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
_IN_NEWEST = {"nic": ["restarted"], "vf": ["without_engine"], "pf-with-vfs": ["spoiled"], "rdma-exclusive": ["renamed"]}
_WHOLE = {"nic"}


def _chosen() -> Iterator[object]:
    """Kind, lives and place: with ``VM=all`` each with each, otherwise in turns."""
    for where, cards in _CARDS.items():
        for number, kind in enumerate(KINDS.values()):
            if kind.refused or not kind.cards <= cards.keys() or kind.place not in {"", where}:
                continue
            lives = list(LIVES)
            if where == "newest" and not IS_ALL:
                lives = _IN_NEWEST.get(kind.name, [])
            elif not IS_ALL and not {kind.name, where} & _WHOLE:
                lives = [lives[number % len(lives)]]
            for life in lives:
                yield pytest.param(where, kind.name, life, id=f"{where}-{kind.name}-{life}")


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
    row.told = row.told or scene.told()
    LIVES[life](scene)
    scene.must_be_whole()


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.refused])
@pytest.mark.parametrize("place", ["stable", *(["newest"] if IS_ALL else []), "here"], indirect=True)
def test_what_cannot_be_given_is_refused_before_anything_moves(place: Place, kind: str) -> None:
    """With a reason in words; nothing is claimed, nothing has changed."""
    scene = Scene(place, KINDS[kind])
    prepare(scene)
    with pytest.raises(CriError) as refusal:
        scene.give()
    assert re.search(KINDS[kind].refused, str(refusal.value)), refusal.value
    row_of(kind).refusal = str(refusal.value).rpartition(": ")[2].strip()
    assert place.claims() == []
    scene.delete()
    scene.must_be_whole()
