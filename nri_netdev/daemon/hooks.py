"""NRI's hooks: a handler for each event of pods and containers, on the thread that reads from the engine.

The mask of events that the daemon subscribes to is derived from `HANDLERS`. An event that concerns nobody here never
comes to a handler (`nri_netdev.daemon.relevance`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from nri_netdev.custody.custody import Custody
from nri_netdev.daemon.injection import InjectionMemory
from nri_netdev.daemon.lane import LONGER, Lane, refusal_for_bug
from nri_netdev.daemon.relevance import Relevance
from nri_netdev.daemon.unread import UnreadKeys
from nri_netdev.domain.annotations.entries import entries_by_container, entries_of
from nri_netdev.domain.annotations.relevance import mentions
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.metadata import Handout
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import LocalProtocolError, RequestError
from nri_netdev.log import event
from nri_netdev.shells.engine.connection import EngineConnection
from nri_netdev.shells.engine.translate import adjustment, container_of, is_handed_out, pod_of
from nri_netdev.shells.kernel.processes import kill_in_netns
from nri_netdev.shells.observe.metrics import CONTAINERS, CREATE_SECONDS, GRANTS, Meters
from nri_netdev.wire.methods import HOOKS, EventKind
from nri_netdev.wire.peek import Peek
from nri_netdev.wire.session import Request, event_mask

_log = logging.getLogger(__name__)

CREATE_CONTAINER = HOOKS[EventKind.CREATE_CONTAINER].method

ENGINES_THAT_HEED_START_ERRORS = frozenset({"containerd"})
"""CRI-O logs an error of StartContainer and goes on; there the process is killed before it runs."""

END_S = 0.04
"""How long the answer to the end of a container or pod may take, in seconds: engines tell plugins one thing at a time,
so every other pod of the node waits for it. The interface comes home all the same."""


class Hooks:
    """Answers the engine's events.

    Args:
        lane: custody.
        relevance: which events concern us.
        injection: who moves interfaces in.
        unread: the keys that nobody reads.
        meters: what is counted.
        spawn: runs a coroutine on the daemon's loop, from any thread.
    """

    def __init__(
        self,
        lane: Lane,
        relevance: Relevance,
        *,
        injection: InjectionMemory,
        unread: UnreadKeys,
        meters: Meters,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._lane = lane
        self._relevance = relevance
        self._injection = injection
        self._unread = unread
        self._meters = meters
        self._spawn = spawn
        self._held_s = 0.0
        self.heeds_start_errors = False
        """Whether the engine fails a container whose StartContainer is answered with an error."""

    def answer_now(self, connection: EngineConnection, peek: Peek) -> bool:
        """Answer an event that was recognised without decoding, if that takes no time.

        Returns:
            Whether it is answered; if not, it is to be decoded and handled.
        """
        if not self._relevance.of_peek(peek):
            connection.answer(peek)
            return True
        return peek.method == CREATE_CONTAINER and self._give_prepared(connection, peek)

    def handle(self, connection: EngineConnection, request: Request, *, held_s: float = 0.0) -> None:
        """Answer any other event, now or later. A bug costs no more than this event.

        Args:
            connection: where it came from.
            request: the event.
            held_s: how long it was held back before: so much less may the answer take.
        """
        self._held_s = held_s
        try:
            HANDLERS[request.kind](self, connection, request)
        except Exception as error:  # noqa: BLE001 - the edge of a hook
            event(_log, logging.ERROR, "engine.bug", exc_info=True)
            with contextlib.suppress(LocalProtocolError):  # it is answered already
                if request.kind in REFUSABLE:
                    self.refuse(connection, request, refusal_for_bug(error))
                else:
                    connection.reply(request, None)

    def refuse(self, connection: EngineConnection, request: Request, error: RequestError) -> None:
        """Keep a container from running; of `REFUSABLE` events."""
        if request.kind is EventKind.START_CONTAINER:
            self._spawn(self._refuse_start(connection, request, error))
        else:
            refuse(connection, request, error, doing=REFUSABLE[request.kind])

    def _limit_s(self, factor: float) -> float:
        """How long an answer may take, this many times as long as others, less what it was held back."""
        return self._lane.limit_s * factor if not self._held_s else self._lane.limit_s * LONGER - self._held_s

    def _is_adjusted(self, request: Request) -> bool:
        """Whether the engine has an adjustment of ours already: of the daemon before us, which has just let go."""
        holders, pod, container = self._lane.holders, request.pod, request.container
        if container.id in holders and container.linux.net_devices:
            return True
        return (container.id in holders or pod.id in holders) and is_handed_out(container)

    # -- RunPodSandbox ---------------------------------------------------------------------------------------------

    def run_pod_sandbox(self, connection: EngineConnection, request: Request) -> None:
        """RunPodSandbox: answer at once, then prepare what the pod's containers will ask for."""
        connection.reply(request, None)
        pod = pod_of(request.pod)
        self._unread.pod_runs(pod)
        asked = entries_by_container(pod) if self._injection.asks(pod.runtime_handler) else {}
        if asked:
            self._lane.later(lambda custody: custody.prepare(pod, asked))

    # -- CreateContainer -------------------------------------------------------------------------------------------

    def _give_prepared(self, connection: EngineConnection, peek: Peek) -> bool:
        """CreateContainer, if what the container will be given is prepared and nothing has changed since."""
        begin_s = time.perf_counter()
        container_id, name = peek.container_names()

        def give(custody: Custody) -> bool:
            prepared = custody.ready(peek.pod_id, name)
            if prepared is None or not self._injection.asks(prepared.expected.pod.runtime_handler):
                return False
            try:
                connection.answer(peek, prepared.answer)
            finally:
                custody.give(prepared, container_id, name)
            return True

        if not container_id or not self._lane.try_now(give):
            return False
        self._lane.later(lambda custody: custody.record(container_id))
        self._unread.container_comes(peek.pod_id, name)
        self._meters.count(CONTAINERS, "true")
        self._meters.count(GRANTS, "ready")
        self._meters.observe(CREATE_SECONDS, time.perf_counter() - begin_s)
        return True

    def create_container(self, connection: EngineConnection, request: Request) -> None:
        """CreateContainer: decide, promise, and answer with the adjustment, or refuse with the reason."""
        pod, container = pod_of(request.pod, request.container), container_of(request.container)
        is_asking = mentions(pod.annotations)
        self._meters.count(CONTAINERS, "true" if is_asking else "false")
        if not is_asking:
            connection.reply(request, None)
            return
        begin_s = time.perf_counter()
        self._unread.container_comes(pod.id, container.name)
        if self._is_adjusted(request):
            connection.reply(request, None)
            return
        asks = self._injection.asks(pod.runtime_handler)
        try:
            entries = entries_of(pod, container)
        except RequestError as error:
            refuse(connection, request, error, doing="create")
            entries = ()
        else:
            if not entries:
                connection.reply(request, None)
        if not entries:
            self._meters.observe(CREATE_SECONDS, time.perf_counter() - begin_s)
            return
        outcome = self._lane.ask(
            lambda custody: _created(custody, pod, container, entries, move=not asks),
            too_late="the kernel is still busy, perhaps with an interface that is being returned; retry",
            undo=lambda custody: custody.end(container.id),
            limit_s=self._limit_s(1.0),
        )
        self._spawn(self._answer_create(connection, request, outcome, asks=asks, begin_s=begin_s))

    async def _answer_create(
        self,
        connection: EngineConnection,
        request: Request,
        outcome: Callable[[], Awaitable[tuple[tuple[Grant, ...], Handout | None]]],
        *,
        asks: bool,
        begin_s: float,
    ) -> None:
        try:
            grants, handout = await outcome()
        except RequestError as error:
            refuse(connection, request, error, doing="create")
        else:
            moved = grants if asks else ()
            connection.reply(request, adjustment(moved, handout) if moved or handout else None)
            if grants:
                self._meters.count(GRANTS, "decided")
                container_id = request.container.id
                self._lane.later(lambda custody: custody.record(container_id))
        self._meters.observe(CREATE_SECONDS, time.perf_counter() - begin_s)

    # -- StartContainer --------------------------------------------------------------------------------------------

    def start_container(self, connection: EngineConnection, request: Request) -> None:
        """StartContainer, the last moment before the process runs: all must have arrived, or it does not run."""
        if not mentions(request.pod.annotations):
            connection.reply(request, None)
            return
        pod, container = pod_of(request.pod), container_of(request.container)
        self._unread.container_starts(pod.id, container.id)
        try:
            entries = entries_of(pod, container)
        except RequestError as error:
            self.refuse(connection, request, error)
            return
        if not entries and container.id not in self._lane.holders:
            connection.reply(request, None)
            return
        outcome = self._lane.ask(
            lambda custody: custody.start(pod, container, entries, may_move=self._injection.may_move),
            too_late="its interfaces could not be set up in time; retry, or have the engine wait longer for plugins",
            undo=lambda custody: custody.arrival.give_back(container.id),
            limit_s=self._limit_s(LONGER),
        )
        self._spawn(self._answer_start(connection, request, outcome))

    async def _answer_start(
        self, connection: EngineConnection, request: Request, outcome: Callable[[], Awaitable[tuple[str, ...]]]
    ) -> None:
        try:
            moved = await outcome()
        except RequestError as error:
            await self._refuse_start(connection, request, error)
            return
        handler = request.pod.runtime_handler
        if moved and self._injection.ignored(handler):
            event(
                _log,
                logging.WARNING,
                "runtime.ignored",
                handler=handler or "default",
                effect="nri-netdev moves interfaces itself for this handler, until the engine reconnects",
                hint="needs NRI 0.11 and runc 1.4, crun 1.22 or youki 0.6",
            )
        connection.reply(request, None)

    async def _refuse_start(self, connection: EngineConnection, request: Request, error: RequestError) -> None:
        pod, container = pod_of(request.pod), container_of(request.container)
        if not self.heeds_start_errors and container.pid and pod.netns_path:
            is_dead = await asyncio.to_thread(kill_in_netns, container.pid, pod.netns_path)
            event(_log, logging.WARNING, "start.prevented", **who(pod, container), dead=is_dead, reason=str(error))
        refuse(connection, request, error, doing="start")

    # -- StopContainer, RemoveContainer, StopPodSandbox ------------------------------------------------------------

    def stop_container(self, connection: EngineConnection, request: Request) -> None:
        """StopContainer: bring home what the container held."""
        self._unread.container_ends(request.pod.id, request.container.id)
        self._end(connection, request, request.container.id)

    def remove_container(self, connection: EngineConnection, request: Request) -> None:
        """RemoveContainer: the same. Where a plugin before us fails at StopContainer, that does not reach us."""
        self._unread.container_ends(request.pod.id, request.container.id)
        self._end(connection, request, request.container.id)

    def stop_pod_sandbox(self, connection: EngineConnection, request: Request) -> None:
        """StopPodSandbox: bring home what the pod and its containers held."""
        self._unread.pod_ends(request.pod.id)
        self._end(connection, request, request.pod.id)

    def _end(self, connection: EngineConnection, request: Request, holder_id: str) -> None:
        if holder_id not in self._lane.holders:
            connection.reply(request, None)
            return
        self._lane.later(lambda custody: custody.end(holder_id))
        outcome = self._lane.ask(
            lambda custody: custody.settler.wait_for(holder_id), too_late="goes on in the background", limit_s=END_S
        )
        self._spawn(self._answer_end(connection, request, outcome))

    async def _answer_end(
        self, connection: EngineConnection, request: Request, outcome: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer the end of a holder, which is never refused."""
        try:
            await outcome()
        except RequestError as error:
            pod = f"{request.pod.namespace}/{request.pod.name}"
            event(_log, logging.DEBUG, "teardown.late", pod=pod, kind=request.kind.name, reason=str(error))
        connection.reply(request, None)


def _created(
    custody: Custody, pod: PodSandbox, container: Container, entries: tuple[Entry, ...], *, move: bool
) -> tuple[tuple[Grant, ...], Handout | None]:
    """What a container gets, and what it is handed beside.

    Raises:
        RequestError: It is refused; it has nothing.
    """
    grants = custody.create(pod, container, entries, move=move)
    try:
        return grants, custody.handing.for_container(pod, container, entries)
    except RequestError:
        custody.end(container.id)
        raise


HANDLERS: Mapping[EventKind, Callable[[Hooks, EngineConnection, Request], None]] = {
    EventKind.RUN_POD_SANDBOX: Hooks.run_pod_sandbox,
    EventKind.CREATE_CONTAINER: Hooks.create_container,
    EventKind.START_CONTAINER: Hooks.start_container,
    EventKind.STOP_CONTAINER: Hooks.stop_container,
    EventKind.REMOVE_CONTAINER: Hooks.remove_container,
    EventKind.STOP_POD_SANDBOX: Hooks.stop_pod_sandbox,
}
"""The events that the daemon subscribes to, with their handlers; every engine knows these. A pod that goes without an
event is found by `Custody.tick`."""

REFUSABLE: Mapping[EventKind, str] = {EventKind.CREATE_CONTAINER: "create", EventKind.START_CONTAINER: "start"}
"""The events whose refusal keeps a container from running, with what they are called in logs and metrics."""

EVENTS = event_mask(*HANDLERS)
"""The mask that subscribes to them."""


def who(pod: PodSandbox, container: Container) -> dict[str, str]:
    """The fields of log lines about a container that asks."""
    name = f"{pod.namespace}/{pod.name}".lstrip("/")
    return {"pod": name, "pod_uid": pod.uid, "container": container.name or container.id[:12]}


def refuse(connection: EngineConnection, request: Request, error: RequestError, *, doing: str) -> None:
    """Refuse a request, in words that reach `kubectl describe pod`, and log `create.refused` or `start.refused`."""
    asker = who(pod_of(request.pod), container_of(request.container))
    event(_log, logging.WARNING, f"{doing}.refused", **asker, reason=error)  # metrics read its kind
    text = f"nri-netdev: pod {asker['pod']}, container {asker['container']}: {error}"
    connection.refuse(request, text)
