"""What a daemon tells of pods: in order, without loss or doubles, and waiting for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nri_netdev import log
from nri_netdev.domain.claim import State
from nri_netdev.errors import StateError
from nri_netdev.shells.observe import stream
from nri_netdev.shells.observe.listener import Listener, LogEvent
from nri_netdev.shells.observe.stream import EventRing
from tests.daemon.node import Node, announced, node, on_loop  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def _turns_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_POLL_S", 0.005)


POD = {"pod": "default/web", "pod_uid": "u1"}


def ring_of(count: int, **options: Any) -> EventRing:
    ring = EventRing(**options)
    for number in range(1, count + 1):
        ring.note("claim.home", {**POD, "ifname": f"nic{number}"})
    return ring


def numbers(events: tuple[LogEvent, ...]) -> list[int]:
    return [one.number for one in events]


# -- the ring ----------------------------------------------------------------------------------------------------------


def test_what_is_kept() -> None:
    """The events that are published, with what JSON can say of them."""
    ring = EventRing()
    ring.note("claim.promised", POD)
    ring.note("start.prevented", {**POD, "dead": True, "x": None, "state": State.LOST, "reason": "no"})
    (event,) = ring.after(0, 10)

    assert event.number == 1
    assert event.name == "start.prevented"
    assert event.fields == {**POD, "dead": True, "state": "lost", "reason": "no"}


def test_the_ring_is_bounded() -> None:
    """The oldest go; whoever asks for those gets what is there."""
    ring = ring_of(10, most=4)

    assert numbers(ring.after(0, 100)) == [7, 8, 9, 10]
    assert numbers(ring.after(8, 100)) == [9, 10]
    assert numbers(ring.after(8, 1)) == [9]
    assert ring.after(10, 100) == ()


def test_what_utf8_cannot_say() -> None:
    """Is escaped, so that whoever receives it can write it on."""
    ring = EventRing()
    ring.note("claim.gone", {**POD, "reason": "\udcff", "troubles": ("a\ud800",)})
    (event,) = ring.after(0, 10)

    assert (event.fields["reason"], event.fields["troubles"]) == ("\\udcff", ["a\\ud800"])


def test_numbers_of_many_threads() -> None:
    """Each event has a number of its own, in the order of the ring."""
    ring = EventRing(most=10_000)
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=lambda: [ring.note("claim.home", POD) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switch_s)

    assert numbers(ring.after(0, 10_000)) == list(range(1, 2001))


# -- over the socket ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def published(path: Path, ring: EventRing) -> AsyncIterator[Listener]:
    """A ring that is published, and a listener."""
    async with stream.serving(path, ring):
        listener = Listener(path)
        try:
            yield listener
        finally:
            listener.close()


async def events_of(listener: Listener, count: int) -> list[LogEvent]:
    """So many events."""
    heard: list[LogEvent] = []
    while len(heard) < count:
        heard += await asyncio.to_thread(listener.receive, 1.0)
    return heard


@on_loop
async def test_what_was_and_what_comes(tmp_path: Path) -> None:
    """A listener hears what there is, more than a batch of it, and then each event once."""
    ring = ring_of(200)
    async with published(tmp_path / "s", ring) as listener:
        first = await events_of(listener, 200)
        assert await asyncio.to_thread(listener.receive, 0.01) == ()
        ring.note("key.unread", {**POD, "containers": ("a", "b")})
        (last,) = await events_of(listener, 1)

    assert numbers(tuple(first)) == list(range(1, 201))
    assert replace(first[0], at_s=0) == LogEvent(number=1, at_s=0, name="claim.home", fields={**POD, "ifname": "nic1"})
    assert last.fields["containers"] == ["a", "b"]


@on_loop
async def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a connection was lost nothing is sent twice or left out, and what left the ring is counted."""
    ring = ring_of(3, most=4)
    async with published(tmp_path / "s", ring) as listener:
        assert numbers(tuple(await events_of(listener, 3))) == [1, 2, 3]
        listener.close()
        ring.note("claim.home", POD)
        assert numbers(tuple(await events_of(listener, 1))) == [4]
        assert listener.lost == 0
        listener.close()
        for _ in range(6):
            ring.note("claim.home", POD)
        assert numbers(tuple(await events_of(listener, 4))) == [7, 8, 9, 10]
        assert listener.lost == 2


@on_loop
async def test_another_daemon(tmp_path: Path) -> None:
    """Has another ring, which is sent from its beginning."""
    async with published(tmp_path / "s", ring_of(5)) as listener:
        await events_of(listener, 5)
        async with stream.serving(tmp_path / "new", ring_of(2)):
            (tmp_path / "new").replace(tmp_path / "s")
            listener.close()
            assert numbers(tuple(await events_of(listener, 2))) == [1, 2]


@on_loop
async def test_the_daemon_goes(tmp_path: Path) -> None:
    """Is an error, and again as long as there is none."""
    listener = Listener(tmp_path / "s")
    async with stream.serving(tmp_path / "s", ring_of(1)):
        await events_of(listener, 1)
    with pytest.raises(StateError, match=r"no daemon tells events at .*: the daemon hung up; does nri-netdev run"):
        raise await failure(listener)
    with pytest.raises(StateError, match="No such file"):
        raise await failure(listener)


async def failure(listener: Listener) -> Exception:
    while True:
        try:
            await asyncio.to_thread(listener.receive, 0.1)
        except StateError as error:
            return error


@on_loop
async def test_who_reads_too_slowly(tmp_path: Path) -> None:
    """Misses what leaves the ring meanwhile and knows how much; others receive all."""
    ring = EventRing(most=8)
    big = {**POD, "reason": "x" * 2000}
    async with published(tmp_path / "s", ring) as listener:
        slow = Listener(tmp_path / "s")
        ring.note("claim.home", big)
        await events_of(slow, 1)
        await events_of(listener, 1)
        for _ in range(250):
            for _ in range(4):
                ring.note("claim.home", big)
            assert len(await events_of(listener, 4)) == 4
        received = 1
        while received + slow.lost < 1001:
            received += len(await events_of(slow, 1))
        slow.close()
    assert slow.lost > 100
    assert listener.lost == 0


@pytest.mark.parametrize("batch", [1, 64])
def test_the_last_events(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens just before a daemon ends is sent, however much it is."""
    monkeypatch.setattr(stream, "_BATCH", batch)
    monkeypatch.setattr(stream, "_POLL_S", 60)
    ring, listener = ring_of(1), Listener(tmp_path / "s")

    @on_loop
    async def run() -> None:
        async with stream.serving(tmp_path / "s", ring):
            await events_of(listener, 1)
            await asyncio.sleep(0.05)  # it waits for the next time to look
            for _ in range(3):
                ring.note("claim.home", POD)
        assert numbers(tuple(await events_of(listener, 3))) == [2, 3, 4]

    run()
    listener.close()


ODD = (b'{"ring": "RING", "number": 1e400}\n', b"[" * 50000 + b"\n")
"""Numbers and depths that Python's `json` has exceptions of its own for."""


@pytest.mark.parametrize("hello", [b"\n", b"nonsense\n", b"[]\n", b"{}\n", b'{"number": 1}\n', b"x" * 99999, *ODD])
def test_who_is_no_listener(tmp_path: Path, hello: bytes) -> None:
    """Is hung up on, and does no harm."""

    @on_loop
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        async with published(tmp_path / "s", ring_of(1, id="RING")) as listener:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(hello)
            with contextlib.suppress(ConnectionError):
                assert not (await reader.read()).startswith(b'{"number"')
            writer.close()
            await events_of(listener, 1)

    failures: list[object] = []
    run()
    gc.collect()
    assert failures == []


@on_loop
async def test_few_listeners_at_a_time(tmp_path: Path) -> None:
    """One more is hung up on at once."""
    async with published(tmp_path / "s", ring_of(1)) as listener:
        others = [await asyncio.open_unix_connection(tmp_path / "s") for _ in range(4)]
        with pytest.raises(StateError, match=r"hung up|Broken pipe|reset"):
            raise await failure(listener)
        for _, writer in others:
            writer.close()


@pytest.mark.root
def test_who_may_listen(tmp_path: Path) -> None:
    """Root, and the group that the directory's set-group-ID bit gives the socket: as of a volume with `fsGroup`."""
    os.chown(tmp_path, -1, 65532)
    tmp_path.chmod(0o2770)

    async def look() -> os.stat_result:
        async with published(tmp_path / "s", ring_of(1)):
            return os.stat(tmp_path / "s")  # noqa: PTH116 - once

    found = asyncio.run(look())
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_gid == 65532


@on_loop
async def test_a_socket_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is logged; the daemon goes on without."""
    (tmp_path / "file").touch()
    async with stream.serving(tmp_path / "file" / "s", EventRing()):
        pass
    assert "stream.unavailable" in caplog.text


# -- a daemon's --------------------------------------------------------------------------------------------------------


@on_loop
async def test_of_a_daemon(node: Node) -> None:  # noqa: F811
    """What it logs of a pod is published, with the pod's uid; without the setting there is no socket."""
    path = node.settings.run_dir / "events.sock"
    node.settings = replace(node.settings, events=f"unix://{path}")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = node.pod()
        pod.annotations["nri-netdev.io/nonsense"] = "x"
        await engine.run_pod_sandbox(pod)
        listener = Listener(path)
        (heard,) = await events_of(listener, 1)
        listener.close()
    assert heard.name == "key.unread"
    assert {name: heard.fields[name] for name in POD} == POD
    assert not path.exists()
    node.settings = replace(node.settings, events="")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        assert not path.exists()


def test_nobody_is_observed_in_vain() -> None:
    """An event that is not published costs a look-up."""
    ring = EventRing()
    with log.observed(ring.note):
        log.event(logging.getLogger(__name__), logging.DEBUG, "claim.promised", **POD)
    assert ring.after(0, 1) == ()
