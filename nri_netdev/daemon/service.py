"""The daemon: wires engine, custody and kernel together, and decides nothing about interfaces.

The thread that reads what the engine says answers at once whatever asks for nothing; everything else goes to the event
loop, and from there to custody (`nri_netdev.daemon.lane`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

from nri_netdev import __version__
from nri_netdev.config.settings import Injection, OnMissed, Reload, Settings, Watched
from nri_netdev.custody.custody import Custody
from nri_netdev.daemon.answers import entries_by_container, entries_of, refuse, who
from nri_netdev.daemon.injection import InjectionMemory
from nri_netdev.daemon.lane import Worker, patience_s
from nri_netdev.daemon.view import Outlook
from nri_netdev.domain.annotations.request import may_mention, mentions
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.verdict.judge import Grant
from nri_netdev.errors import ConfigurationError, RequestError, StateError
from nri_netdev.log import event, set_level
from nri_netdev.shells.engine.connection import (
    NOTHING,
    Answer,
    EngineConnection,
    connect,
    launched_socket,
    stay_connected,
)
from nri_netdev.shells.engine.residents import Residents
from nri_netdev.shells.engine.translate import adjustment, container_of, pod_of
from nri_netdev.shells.kernel.host import kill_in_netns
from nri_netdev.shells.kernel.measured import MeasuredKernel
from nri_netdev.shells.kernel.mirror import host_events
from nri_netdev.shells.observe.metrics import CONTAINERS, CREATE_SECONDS, GRANTS, MOVE_SECONDS, Meters
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from nri_netdev.wire.methods import HOOKS, Kind
from nri_netdev.wire.peek import Glimpse
from nri_netdev.wire.session import (
    Closed,
    Configured,
    Event,
    PluginSession,
    Refused,
    Registered,
    Request,
    Synchronized,
    event_mask,
)

_log = logging.getLogger(__name__)

EVENTS = (
    Kind.RUN_POD_SANDBOX,
    Kind.CREATE_CONTAINER,
    Kind.START_CONTAINER,
    Kind.STOP_CONTAINER,
    Kind.REMOVE_CONTAINER,
    Kind.STOP_POD_SANDBOX,
)
"""What we subscribe to; every engine knows these. Where a plugin before us fails at a container's end we are not told
of it, so its removal is heard, too; a pod's end is found out without being told (`Custody.tick`)."""

ENGINES_THAT_HEED_START_ERRORS = frozenset({"containerd"})
"""CRI-O logs an error of StartContainer and goes on; there the process is killed before it runs."""
TICK_S = 1.0
STANDBY_S = 0.5
DRAIN_S = 5.0
"""How long a daemon told to stop waits for what its worker has in hand."""


class Daemon:
    """One node's daemon, from lock to goodbye.

    Args:
        settings: what the operator set.
        environment: `os.environ`, for what an engine that launches us tells.
        new_custody: opens ledger and kernel, on the worker's thread.
        watched: where the settings come from, to be looked at again; None if they never change.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
        new_custody: Callable[[Settings], Custody] | None = None,
        watched: Watched | None = None,
    ) -> None:
        env = os.environ if environment is None else environment
        self._settings = settings
        self._watched = watched
        self.meters = Meters()
        self._new_custody = new_custody or (lambda of: open_custody(of, self.meters))
        self._injection = InjectionMemory(Injection(settings.injection))
        self._may_err_at_start = False
        self._name = env.get("NRI_PLUGIN_NAME") or settings.name
        self._index = env.get("NRI_PLUGIN_IDX") or settings.index
        self._fd = env.get("NRI_PLUGIN_SOCKET")
        self._worker = Worker()
        self._lock: Lock | None = None
        self.engine: Configured | None = None
        self._connection: EngineConnection | None = None
        self._is_healthy = False
        self._handed = self._heard = 0
        """What the engine's thread has handed to the loop, and what of it has come as far as the worker."""
        self._links_changed = asyncio.Event()

    # -- what others see -------------------------------------------------------------------------------------------

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim; none while the ledger cannot be used."""
        return self._worker.custody.claims if self._worker.custody is not None else ()

    @property
    def is_ready(self) -> bool:
        """Whether it is registered with the engine, knows what exists, and can give."""
        return self._connection is not None and self._is_healthy and self._worker.custody is not None

    @property
    def trouble(self) -> str:
        """Why nothing can be given, or ""."""
        return self._worker.trouble

    @property
    def policy(self) -> Policy:
        """What the operator has said of giving interfaces away, as it is in force."""
        return self._settings.policy

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled, or, when launched by an engine, until that hangs up.

        Raises:
            ConfigurationError, StateError: It cannot start.
        """
        event(_log, logging.INFO, "daemon.started", version=__version__, pid=os.getpid())
        outlook = Outlook(settings=self._settings, meters=self.meters, seen=self)
        self._loop = asyncio.get_running_loop()
        async with outlook.probed(), self._locked(), outlook.shown():
            await self._open()
            tasks = [asyncio.ensure_future(work) for work in (self._serve(), self._tick(), self._watch_links())]
            try:
                ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._drain()

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """Hold the lock of the state directory; wait for it as long as another daemon serves.

        Where there can be no lock there can be no ledger either: then the daemon serves, and gives nothing.
        """
        told = None
        try:
            while (pid := self._take_lock()) is not None:
                if pid != told:
                    state_dir = self._settings.state_dir
                    event(_log, logging.INFO, "daemon.standby", serving_pid=pid, state_dir=state_dir)
                    told = pid
                await asyncio.sleep(STANDBY_S)
            yield
        finally:
            if self._lock is not None:
                self._lock.close()

    def _take_lock(self) -> int | None:
        """Take the lock if it is not ours yet; the process that has it, None if that is us or there can be none."""
        try:
            self._lock = self._lock or Lock(self._settings.state_dir)
            return self._lock.take()
        except StateError as error:
            self._tell_trouble(error)
            return None

    async def _open(self) -> None:
        """Open ledger and kernel; without a ledger the daemon serves, and gives nothing."""
        pid = self._take_lock()
        if pid is not None:
            self._tell_trouble(StateError(f"the state directory is served by process {pid}; stop one of the two"))
        if pid is not None or self._lock is None:
            return
        try:
            await self._worker.open(lambda: self._new_custody(self._settings))
        except StateError as error:
            self._tell_trouble(error)

    def _tell_trouble(self, error: StateError) -> None:
        """Say why nothing can be given; once, not every second."""
        if str(error) != self.trouble:
            event(_log, logging.ERROR, "ledger.unusable", error=str(error), effect="no interface is given")
        self._worker.trouble = str(error)

    async def _serve(self) -> None:
        if self._fd is None:
            event(_log, logging.INFO, "engine.connecting", socket=self._settings.socket)
            await stay_connected(
                self._settings.socket,
                self._session,
                self._handle,
                self._at_a_glance,
                rng=random.Random(),  # noqa: S311 - jitter, not a secret
                healthy=lambda: self._is_healthy,
            )
        if not self._fd or not self._fd.isdigit():
            raise ConfigurationError(f"NRI_PLUGIN_SOCKET={self._fd} is not a file descriptor")
        _, closed = await connect(launched_socket(int(self._fd)), self._session, self._handle, self._at_a_glance)
        await closed

    async def _drain(self) -> None:
        """Let what is in hand come to its end, then hang up."""
        await self._worker.finish(DRAIN_S)
        if self._connection is not None:
            self._connection.close()
        await self._worker.quietly(Custody.forget_drafts)
        await self._worker.close()
        event(_log, logging.INFO, "daemon.stopped")

    # -- the engine's events ---------------------------------------------------------------------------------------

    def _session(self) -> PluginSession:
        self._is_healthy = False
        residents = Residents(lambda: self._worker.holders)
        return PluginSession(
            self._name,
            self._index,
            events=event_mask(*EVENTS),
            fail_request=True,
            concerns=self._concerns,
            keep_pod=residents.pod,
            keep_container=residents.container,
        )

    def _concerns(self, method: str, encoded: bytes | memoryview) -> bool:
        """Whether an event that is not told at a glance may ask for something or end a holder."""
        if may_mention(encoded):
            return True
        if method == _CREATE:
            self.meters.count(CONTAINERS, "false")
            return False
        return bool(self._worker.holders)

    def _at_a_glance(self, seen: Glimpse) -> Answer | None:
        """What to say to an event where it arrives, on the engine's thread; None where more is to be known or done."""
        if seen.pod_id in self._worker.holders or may_mention(seen.pod):
            return self._ready(seen) if seen.method == _CREATE else None
        if seen.method == _CREATE:
            self.meters.count(CONTAINERS, "false")
        return NOTHING

    def _ready(self, seen: Glimpse) -> Answer | None:
        """What to say to a container that all has been made ready for, if nothing at all has happened since."""
        begin_s = time.perf_counter()
        container_id, name = seen.container_names()
        custody = self._worker.begin() if container_id and self._handed == self._heard else None
        if custody is None:
            return None
        draft = None
        try:
            draft = custody.ready(seen.pod_id, name)
            if draft is not None and not self._injection.asks(draft.awaited.pod.runtime_handler):
                draft = None
        finally:
            if draft is None:
                self._worker.end()
        if draft is None:
            return None

        def then() -> None:
            try:
                custody.confirm(draft, container_id, name)
            finally:
                self._worker.end()
            self._hand_on(lambda: self._worker.spawn(self._worker.quietly(lambda c: c.confirmed(container_id))))
            self.meters.count(CONTAINERS, "true")
            self.meters.count(GRANTS, "ready")
            self.meters.observe(CREATE_SECONDS, time.perf_counter() - begin_s)

        return Answer(draft.answer, then)

    def _handle(self, connection: EngineConnection, what: Event) -> None:
        """Every other event, in order, on the engine's thread: they are told to the loop."""
        if isinstance(what, Request) and what.kind is Kind.RUN_POD_SANDBOX:
            connection.reply(what, None)
        self._hand_on(lambda: self._hear(connection, what))

    def _hand_on(self, work: Callable[[], None]) -> None:
        """Have something done on the loop, after all that was handed on before."""

        def do() -> None:
            try:
                work()
            finally:
                self._loop.call_soon(count)  # when tasks that this has begun have given the worker their jobs

        def count() -> None:
            self._heard += 1

        self._handed += 1
        with contextlib.suppress(RuntimeError):  # the loop is over
            self._loop.call_soon_threadsafe(do)

    def _hear(self, connection: EngineConnection, what: Event) -> None:
        """Every event that the engine's thread has handed on, in order, on the loop."""
        self._connection = None if isinstance(what, Closed) else connection
        self.engine = self.engine if self._connection else None
        match what:
            case Request():
                self._request(connection, what)
            case Synchronized():
                self._synchronize(connection, what)
            case Configured():
                self.engine = what
                self._injection.forget()
                if self._watched is not None:
                    self._apply(self._watched.configure(what.config))
                self._may_err_at_start = what.runtime_name in ENGINES_THAT_HEED_START_ERRORS
                self._worker.limit_s = patience_s(what.request_timeout_ms)
                event(
                    _log,
                    logging.INFO,
                    "engine.configured",
                    engine=what.runtime_name,
                    version=what.runtime_version,
                    nri=what.nri_version,
                    request_timeout_ms=what.request_timeout_ms,
                )
            case Registered():
                event(_log, logging.INFO, "engine.registered", plugin=self._name, index=self._index)
            case Refused():
                event(_log, logging.ERROR, "engine.refused", error=str(what.error))
                connection.close()

    def _request(self, connection: EngineConnection, request: Request) -> None:
        """Answer at once what asks for nothing and holds nothing; give the rest to the worker."""
        kind = request.kind
        if kind is Kind.RUN_POD_SANDBOX:
            self._prepare(request)
            return
        is_asking = kind in _ASKING and mentions(request.pod.annotations)
        if kind is Kind.CREATE_CONTAINER:
            self.meters.count(CONTAINERS, "true" if is_asking else "false")
        if is_asking:
            self._worker.spawn(_ASKING[kind](self, connection, request))
            return
        job = self._job(kind, request)
        if job is not None:
            self._worker.spawn(self._follow(connection, request, job))
            return
        connection.reply(request, None)

    def _prepare(self, request: Request) -> None:
        """Make ready what a new pod's containers will ask for; the engine has its answer already."""
        pod = pod_of(request.pod)
        asked = entries_by_container(pod) if self._injection.asks(pod.runtime_handler) else {}
        if asked:
            self._worker.spawn(self._worker.quietly(lambda custody: custody.prepare(pod, asked, encode=_encoded)))

    def _job(self, kind: Kind, request: Request) -> Callable[[Custody], None] | None:
        """What custody must hear of the end of a holder."""
        holder_id = request.pod.id if kind is Kind.STOP_POD_SANDBOX else request.container.id
        if kind in _ASKING or holder_id not in self._worker.holders:
            return None
        return lambda custody: custody.ended(holder_id)

    async def _timed_create(self, connection: EngineConnection, request: Request) -> None:
        with self.meters.timed(CREATE_SECONDS):
            await self._create(connection, request)

    async def _create(self, connection: EngineConnection, request: Request) -> None:
        pod, container = pod_of(request.pod), container_of(request.container)
        asks = self._injection.asks(pod.runtime_handler)
        try:
            entries = entries_of(pod, container)
            grants: tuple[Grant, ...] = ()
            if entries:
                grants = await self._worker.ask(
                    lambda custody: custody.create(pod, container, entries, move=not asks),
                    too_late="the kernel is still busy, perhaps with an interface that is being returned; retry",
                    undo=lambda custody: custody.ended(container.id),
                )
        except RequestError as error:
            refuse(connection, request, error, doing="create")
            return
        connection.reply(request, adjustment(grants) if grants and asks else None)
        if grants:
            self.meters.count(GRANTS, "decided")
            self._worker.spawn(self._worker.quietly(lambda custody: custody.confirmed(container.id)))

    async def _start(self, connection: EngineConnection, request: Request) -> None:
        """The last moment before the container's process runs: all must have arrived, or it does not run."""
        pod, container = pod_of(request.pod), container_of(request.container)
        try:
            entries = entries_of(pod, container)
            if not entries and container.id not in self._worker.holders:
                connection.reply(request, None)
                return
            moved = await self._worker.ask(
                lambda custody: custody.starting(pod, container, entries, may_move=self._injection.may_move),
                too_late="its interfaces could not be checked in time; retry",
            )
        except RequestError as error:
            if not self._may_err_at_start and container.pid and pod.netns_path:
                is_dead = await asyncio.to_thread(kill_in_netns, container.pid, pod.netns_path)
                event(_log, logging.WARNING, "start.prevented", **who(pod, container), dead=is_dead)
            refuse(connection, request, error, doing="start")
            return
        if moved and self._injection.ignored(pod.runtime_handler):
            event(
                _log,
                logging.WARNING,
                "runtime.ignored",
                handler=pod.runtime_handler or "default",
                effect="nri-netdev moves interfaces itself for this handler, until the engine reconnects",
                hint="needs NRI 0.11 and runc 1.4, crun 1.22 or youki 0.6",
            )
        connection.reply(request, None)

    async def _follow(self, connection: EngineConnection, request: Request, job: Callable[[Custody], None]) -> None:
        """Answer the end of a holder, which is never refused."""
        try:
            await self._worker.ask(job, too_late="goes on in the background")
        except RequestError as error:
            pod = f"{request.pod.namespace}/{request.pod.name}"
            event(_log, logging.WARNING, "teardown.late", pod=pod, kind=request.kind.name, reason=str(error))
        connection.reply(request, None)

    def _synchronize(self, connection: EngineConnection, what: Synchronized) -> None:
        pods: tuple[PodSandbox, ...] = what.pods
        containers: tuple[Container, ...] = what.containers
        connection.reply(what.request, None)
        self._is_healthy = True
        event(_log, logging.INFO, "engine.synchronized", pods=what.pods_told, containers=what.containers_told)

        def job(custody: Custody) -> None:
            custody.synchronize(pods, containers)
            self._seek_missed(custody, {pod.id: pod for pod in pods if pod.annotations}, containers)

        self._worker.spawn(self._worker.quietly(job))

    def _seek_missed(self, custody: Custody, pods: Mapping[str, PodSandbox], containers: Iterable[Container]) -> None:
        """Find running containers that were created while no daemon looked; those not yet started are caught then."""
        for container in containers:
            pod = pods.get(container.pod_id)
            if pod is None or not container.is_running:
                continue
            try:
                missing = custody.missing(pod, container, entries_of(pod, container))
                if missing and self._settings.on_missed == OnMissed.ATTACH:
                    custody.starting(pod, container, missing)
                    event(_log, logging.WARNING, "container.attached", **who(pod, container))
                elif missing:
                    names = ", ".join(entry.interface for entry in missing)
                    raise RequestError(f"it runs without {names}: it was created while no nri-netdev was there")  # noqa: TRY301
            except RequestError as error:
                event(_log, logging.ERROR, "container.missed", **who(pod, container), reason=str(error))

    # -- what goes on beside the engine -----------------------------------------------------------------------------

    def reload(self) -> None:
        """Look at the configuration again; what is wrong in it is told, and the old one stays in force."""
        if self._watched is not None:
            self._apply(self._watched.reload())

    def _apply(self, change: Reload | None) -> None:
        if change is None:
            return
        for problem in change.problems:
            event(_log, logging.ERROR, "config.refused", problem=problem, effect="the old one stays in force")
        if change.needs_restart:
            event(_log, logging.WARNING, "config.needs_restart", settings=change.needs_restart)
        if change.problems:
            return
        self._settings = settings = change.settings
        self._injection.mode = Injection(settings.injection)
        set_level(settings.log_level)

        def job(custody: Custody) -> None:
            custody.policy = settings.policy
            custody.refresh_drafts()

        self._worker.spawn(self._worker.quietly(job))
        event(_log, logging.INFO, "config.in_force", rules=len(settings.policy.rules))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.reload()
            if self._worker.custody is None:
                await self._open()
                if self._worker.custody is not None and self._connection is not None:
                    self._connection.close()  # to be told anew what exists
            elif self._worker.holders or self._worker.custody.is_behind:
                await self._worker.quietly(Custody.tick)

    async def _watch_links(self) -> None:
        """Look again at what is not yet home whenever the host's links change."""
        events = host_events()
        loop = asyncio.get_running_loop()
        changed = self._links_changed

        def on_change() -> None:
            if events.read() != []:
                changed.set()

        loop.add_reader(events.fileno(), on_change)
        try:
            while True:
                await changed.wait()
                changed.clear()
                custody = self._worker.custody
                if custody is not None and any(claim.state.is_homeward for claim in custody.claims):
                    await self._worker.quietly(Custody.settle)
                    events.read()  # what settling itself has changed
                    changed.clear()
                if custody is not None and custody.has_drafts:
                    await self._worker.quietly(Custody.refresh_drafts)
        finally:
            loop.remove_reader(events.fileno())
            events.close()


_ASKING: dict[Kind, Callable[[Daemon, EngineConnection, Request], Coroutine[Any, Any, None]]] = {
    Kind.CREATE_CONTAINER: Daemon._timed_create,
    Kind.START_CONTAINER: Daemon._start,
}
"""What concerns every container of a pod that has annotations for us."""

_CREATE = HOOKS[Kind.CREATE_CONTAINER].method


def _encoded(grants: Iterable[Grant]) -> bytes:
    return adjustment(grants).SerializeToString()


def open_custody(settings: Settings, meters: Meters) -> Custody:
    """Custody of this host's interfaces.

    Raises:
        StateError: The ledger cannot be used.
    """
    ledger, kernel = Ledger(settings.state_dir), MeasuredKernel(settings.run_dir, partial(meters.timed, MOVE_SECONDS))
    return Custody(ledger, kernel, now_s=time.time, monotonic_s=time.monotonic, policy=settings.policy)


def serve(watched: Watched) -> int:
    """Run the daemon until it is told to stop: the first SIGTERM or SIGINT drains it, the second ends it.

    SIGHUP has it look at its configuration at once, which it does by itself every second.

    Args:
        watched: the configuration, read once already.

    Returns:
        The exit status.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        daemon = Daemon(watched.settings, watched=watched)
        task = asyncio.ensure_future(daemon.run())
        loop.add_signal_handler(signal.SIGHUP, daemon.reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, task, number)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    gc.freeze()  # what has been imported stays: the collector need not walk it again and again
    asyncio.run(main())
    return 0


def _stop(task: asyncio.Future[None], number: signal.Signals) -> None:
    if task.cancelled() or getattr(task, "cancelling", lambda: 0)():
        os._exit(128 + number)
    event(_log, logging.INFO, "daemon.stopping", signal=number.name)
    task.cancel()
