"""Who answers the engine: one daemon at any moment, and whose turn it is while it passes from one to the next."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nri_netdev.daemon.succession import Succession, Turn
from nri_netdev.errors import StateError


def served(directory: Path) -> Succession:
    """A daemon that answers."""
    first = Succession(directory)
    assert first.take() is None
    first.take_over(lambda: None)
    return first


def who(succession: Succession) -> str:
    """Which of the two things it does with an event."""
    done: list[str] = []
    is_ours = succession.pass_on(lambda: done.append("serve"), lambda: done.append("otherwise"))
    assert is_ours == (done == ["serve"]) == succession.is_answering
    return done[0]


def test_from_one_to_the_next(tmp_path: Path) -> None:
    """The second hears and does not answer, holds back while nobody does, and answers once it has the ledger."""
    first, second = served(tmp_path), Succession(tmp_path)
    assert not first.has_successor()
    assert second.take() is not None
    second.stand_by(is_registered=False)
    assert not first.has_successor()
    second.stand_by(is_registered=True)
    second.stand_by(is_registered=True)
    assert (first.has_successor(), second.is_standing_by) == (True, True)
    assert (who(first), who(second), second.turn(0.01)) == ("serve", "otherwise", Turn.THEIRS)

    first.hand_over()
    assert (who(first), who(second)) == ("otherwise", "otherwise")
    assert (first.turn(0.01), second.turn(0.01)) == (Turn.THEIRS, Turn.NOBODYS)
    assert second.take() is not None
    first.close()
    assert second.take() is None
    begun: list[str] = []
    second.take_over(lambda: begun.append(who_is_answering(second)))
    assert begun == ["otherwise"]
    assert (who(second), second.turn(0.01), second.is_standing_by) == ("serve", Turn.OURS, False)
    second.close()


def who_is_answering(succession: Succession) -> str:
    """As `who`, where events are not passed on."""
    return "serve" if succession.is_answering else "otherwise"


def test_a_standby_that_lost_its_engine_is_no_successor(tmp_path: Path) -> None:
    """It is none until it is registered again."""
    first, second = served(tmp_path), Succession(tmp_path)
    second.take()
    second.stand_by(is_registered=True)
    second.stand_by(is_registered=False)
    assert not first.has_successor()
    first.close()
    second.close()


def test_who_waits_learns_at_once(tmp_path: Path) -> None:
    """An event that is held back goes on as soon as somebody answers: we, or a third daemon."""
    first, second, third = served(tmp_path), Succession(tmp_path), Succession(tmp_path)
    second.take()
    third.take()
    first.hand_over()
    turns: dict[str, Turn] = {}

    def wait(name: str, succession: Succession) -> None:
        turns[name] = succession.turn(30)

    waiting = [threading.Thread(target=wait, args=one) for one in (("second", second), ("third", third))]
    for thread in waiting:
        thread.start()
    first.close()
    assert second.take() is None
    second.take_over(lambda: None)
    for thread in waiting:
        thread.join(10)
    assert turns == {"second": Turn.OURS, "third": Turn.THEIRS}
    second.close()
    third.close()


def test_killed_it_has_let_go_of_everything(tmp_path: Path) -> None:
    """A daemon that ends without a word leaves the turn to its successor."""
    first, second = served(tmp_path), Succession(tmp_path)
    second.take()
    second.stand_by(is_registered=True)
    first.close()  # as the kernel does
    assert second.turn(0.01) is Turn.NOBODYS
    assert second.take() is None
    second.close()


def test_without_locks_it_answers(tmp_path: Path) -> None:
    """Where there can be none, nobody else could serve: it says why nothing is given."""
    (tmp_path / "state").touch()
    alone = Succession(tmp_path / "state")
    with pytest.raises(StateError):
        alone.take()
    assert (alone.is_lockless, who(alone), alone.has_successor()) == (True, "serve", False)
    alone.take_over(lambda: None)
    alone.hand_over()
    alone.close()
