"""Recorded conversations with real engine code, replayed into the session: same events, same bytes."""

from pathlib import Path

import pytest

from nri_netdev.wire.session import Closed, Event, Pending, PluginSession, Synchronized
from tests.wire.recording import ENGINE, PLUGIN, RECORDED, Recording, answer, describe

POD_LIFE = [
    "RUN_POD_SANDBOX",
    "CREATE_CONTAINER",
    "POST_CREATE_CONTAINER",
    "START_CONTAINER",
    "POST_START_CONTAINER",
    "STOP_CONTAINER",
    "REMOVE_CONTAINER",
    "STOP_POD_SANDBOX",
    "REMOVE_POD_SANDBOX",
]


@pytest.fixture(params=sorted(RECORDED.glob("*.json")), ids=lambda path: path.stem)
def recording(request: pytest.FixtureRequest) -> Recording:
    """One recorded conversation."""
    path: Path = request.param
    return Recording.load(path)


def replay(recording: Recording, chunk_bytes: int) -> tuple[list[Event], bytes]:
    """Feed what the engine sent in chunks of so many bytes; returns the events and what we send."""
    session = PluginSession(**recording.plugin)
    events: list[Event] = []
    sent = session.start()
    received = recording.sent_by(ENGINE)
    for at in range(0, len(received), chunk_bytes):
        news = session.receive_data(received[at : at + chunk_bytes])
        sent += session.data_to_send()
        for event in news:
            request = event.request if isinstance(event, Synchronized) else event
            if isinstance(request, Pending):
                sent += answer(session, request, recording.answers)
        events += news
    return events + session.receive_eof(), sent


def test_recordings_are_there() -> None:
    """There is a recording of both forms of events, and of a real engine."""
    assert {path.stem for path in RECORDED.glob("*.json")} >= {"nri-0.11", "nri-0.12", "containerd-2.3.4"}


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4_096, 1 << 30])
def test_replay(recording: Recording, chunk_bytes: int) -> None:
    """However the engine's bytes are cut, the events are the recorded ones, and so is what we send."""
    events, sent = replay(recording, chunk_bytes)

    assert recording.events == [describe(event) for event in events]
    assert recording.sent_by(PLUGIN) == sent
    assert events[-1] == Closed(error=None)


def test_recorded_life_is_whole(recording: Recording) -> None:
    """Each recording holds a pod's whole life, so that replaying it means something."""
    kinds = [event.split()[1] for event in recording.events if event.startswith("Request ")]

    assert list(dict.fromkeys(kinds)) == POD_LIFE
