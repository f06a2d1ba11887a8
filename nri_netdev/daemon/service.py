"""The daemon: wires engine, custody and kernel together, and decides nothing about interfaces.

One thread reads from the engine and runs the hooks (`nri_netdev.daemon.hooks`), one does custody's jobs
(`nri_netdev.daemon.lane`), some bring interfaces home (`nri_netdev.daemon.returns`), and the main one runs the loop for
deadlines, timer, signals and servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from nri_netdev import __version__
from nri_netdev.config.settings import Injection, Settings
from nri_netdev.config.watched import Watched
from nri_netdev.custody.custody import Custody
from nri_netdev.daemon.assembly import open_custody
from nri_netdev.daemon.background import Background, readable
from nri_netdev.daemon.hooks import ENGINES_THAT_HEED_START_ERRORS, EVENTS, Hooks
from nri_netdev.daemon.in_force import InForce
from nri_netdev.daemon.injection import InjectionMemory
from nri_netdev.daemon.lane import LONGER, Lane, patience_s
from nri_netdev.daemon.missed import seek
from nri_netdev.daemon.relevance import Relevance
from nri_netdev.daemon.returns import Returns
from nri_netdev.daemon.roster import Roster
from nri_netdev.daemon.standby import EVERYBODY, Standby
from nri_netdev.daemon.succession import POLL_S, Succession
from nri_netdev.daemon.unread import UnreadKey, UnreadKeys
from nri_netdev.daemon.view import View
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.errors import ConfigurationError, StateError
from nri_netdev.log import event, set_level
from nri_netdev.shells.engine.connection import EngineConnection, connect, launched_socket, stay_connected
from nri_netdev.shells.kernel.mirror import host_events
from nri_netdev.shells.kernel.netns import is_same_namespace
from nri_netdev.shells.observe.metrics import Meters
from nri_netdev.wire.peek import Peek
from nri_netdev.wire.session import Closed, Configured, Event, PluginSession, Refused, Registered, Request, Synchronized

_log = logging.getLogger(__name__)

TICK_S = 1.0
SWITCH_S = 0.0002
"""How long a thread may compute while another waits, in seconds. An engine waits for the thread that reads from it; by
default that one would wait up to 5 ms for custody's."""
DRAIN_S, HOMEWARD_S = 5.0, 15.0
"""How long a daemon that ends waits for answers under way, and before that, with a successor, for ways home."""


class Daemon:
    """One node's daemon, from lock to goodbye.

    Args:
        settings: what the operator set.
        environment: `os.environ`, for the variables of an engine that launches us.
        new_custody: opens ledger and kernel, on the lane's thread.
        watched: where the settings come from, to be read again; None if they never change.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
        new_custody: Callable[[Settings], Custody] | None = None,
        watched: Watched | None = None,
    ) -> None:
        env = os.environ if environment is None else environment
        self.in_force = InForce(settings, watched, self._apply)
        self.meters = Meters()
        self._new_custody = new_custody or self._open_custody
        self._injection = InjectionMemory(Injection(settings.injection))
        self._name = env.get("NRI_PLUGIN_NAME") or settings.name
        self._index = env.get("NRI_PLUGIN_IDX") or settings.index
        self._fd = env.get("NRI_PLUGIN_SOCKET")
        self._lane = Lane()
        self._returns = Returns(self._lane)
        self._plugin_runs = Returns(self._lane, at_one_time=8, doing="run an IPAM plugin")
        self._background = Background()
        self._relevance = Relevance(self._concerned, self.meters)
        self._unread = UnreadKeys()
        self._hooks = Hooks(
            self._lane,
            self._relevance,
            injection=self._injection,
            unread=self._unread,
            meters=self.meters,
            spawn=self._background.spawn,
        )
        self._succession = Succession(settings.state_dir)
        self._standby = Standby(self._succession, lambda: self._lane.limit_s * (LONGER - 1), self._hooks.refuse)
        self._serving: asyncio.Future[None] | None = None
        """The connection to the engine, made and made again."""
        self.engine: Configured | None = None
        self._connection: EngineConnection | None = None
        self._is_healthy = False
        self._links_changed = asyncio.Event()
        self._opened = asyncio.Event()
        """Set once there is custody."""

    # -- what others read -------------------------------------------------------------------------------------------

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim; none while the ledger cannot be used."""
        return self._lane.custody.claims if self._lane.custody is not None else ()

    @property
    def is_ready(self) -> bool:
        """Whether it is registered with the engine, knows what exists, and can give."""
        return self._connection is not None and self._is_healthy and self._lane.custody is not None

    @property
    def is_started(self) -> bool:
        """Whether it is registered with the engine, and answers it or stands by."""
        return self._connection is not None and self._is_healthy and self._succession.is_in_place

    @property
    def trouble(self) -> str:
        """Why nothing can be given, or ""."""
        return self._lane.trouble

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.in_force.settings.policy

    @property
    def unread(self) -> tuple[UnreadKey, ...]:
        """The annotation keys that nobody reads."""
        return self._unread.keys

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled, or, when launched by an engine, until that hangs up.

        Raises:
            ConfigurationError, StateError: It cannot start.
        """
        event(_log, logging.INFO, "daemon.started", version=__version__, pid=os.getpid())
        self._background.begin()
        view = View(settings=self.in_force.settings, meters=self.meters, daemon=self)
        async with view.probed(), self._locked():
            await self._open()
            async with view.shown():
                await self._work()

    async def _work(self) -> None:
        """Serve, then drain."""
        self._serving = self._serving or asyncio.ensure_future(self._serve())
        works = (self._tick(), self._watch_links(), self._watch_holders())
        tasks = [self._serving, *map(asyncio.ensure_future, works)]
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
        """Hold the lock of the state directory; stand by as long as another daemon serves.

        Where there can be no lock there can be no ledger either: then the daemon serves, and gives nothing.
        """
        logged = None
        try:
            while (pid := self._take_lock()) is not None:
                if pid != logged:
                    state_dir = self.in_force.settings.state_dir
                    event(_log, logging.INFO, "daemon.standby", serving_pid=pid, state_dir=state_dir)
                    logged = pid
                if self._fd is None and self._serving is None:
                    self._serving = asyncio.ensure_future(self._serve())
                self._succession.stand_by(is_registered=self._standby.is_settled)
                await asyncio.sleep(POLL_S)
            yield
        finally:
            if self._serving is not None:
                self._serving.cancel()
            if self._connection is not None:
                self._connection.close()
            self._succession.close()

    def _take_lock(self) -> int | None:
        """Take the lock if it is not ours yet; the process that has it, None if that is us or there can be none."""
        try:
            return self._succession.take()
        except StateError as error:
            self._log_trouble(error)
            return None

    async def _open(self) -> None:
        """Open ledger and kernel, and answer the engine; without a ledger the daemon serves, and gives nothing."""
        pid = self._take_lock()
        if pid is not None:
            self._log_trouble(StateError(f"the state directory is served by process {pid}", hint="stop one of the two"))
            return
        if not self._succession.is_lockless:
            try:
                await self._lane.open(lambda: self._new_custody(self.in_force.settings))
                self._opened.set()
            except StateError as error:
                self._log_trouble(error)
        self._succession.take_over(self._begin)

    def _begin(self) -> None:
        """Go on from what was heard while another daemon served."""
        roster, self._standby.roster = self._standby.roster, None
        connection = self._connection
        if roster and connection:
            self._lane.later(lambda custody: roster.add_unheard(custody.claims))
            self._go_on(connection, roster)
            event(_log, logging.INFO, "daemon.took_over", pods=len(roster.pods), containers=len(roster.containers))

    def _log_trouble(self, error: StateError) -> None:
        """Log why nothing can be given; once, not every second."""
        if str(error) != self.trouble:
            event(_log, logging.ERROR, "ledger.unusable", error=str(error), effect="no interface is given")
        self._lane.trouble = str(error)

    async def _serve(self) -> None:
        if self._fd is None:
            event(_log, logging.INFO, "engine.connecting", socket=self.in_force.settings.socket)
            await stay_connected(
                self.in_force.settings.socket,
                self._session,
                self,
                rng=random.Random(),  # noqa: S311 - jitter, not a secret
                healthy=lambda: self._is_healthy,
            )
        if not self._fd or not self._fd.isdigit():
            raise ConfigurationError(f"NRI_PLUGIN_SOCKET={self._fd} is not a file descriptor")
        _, closed = await connect(launched_socket(int(self._fd)), self._session, self)
        await closed

    async def _drain(self) -> None:
        """Hand over to a successor, or go on to the end; wait for the answers that are under way, then hang up."""
        if self._succession.has_successor():
            await self._done(lambda _: None)
            await asyncio.to_thread(self._returns.wait, HOMEWARD_S)  # a successor would have to wait for these
            self._succession.hand_over()
            event(_log, logging.INFO, "daemon.handed_over")
        await self._background.finish(DRAIN_S)
        if self._connection is not None:
            self._connection.close()
        self._succession.hand_over()
        await self._done(_let_go)
        await asyncio.to_thread(self._returns.wait, DRAIN_S)
        self._returns.close()
        self._plugin_runs.close()
        await self._lane.close()
        event(_log, logging.INFO, "daemon.stopped")

    # -- the engine, on the thread that reads from it ----------------------------------------------------------------

    def _concerned(self) -> Collection[str]:
        """The ids of pods and containers whose events concern us."""
        return self._lane.holders if self._succession.is_answering else EVERYBODY

    def _open_custody(self, settings: Settings) -> Custody:
        return open_custody(settings, self.meters, returns=self._returns, plugin_runs=self._plugin_runs)

    def _session(self) -> PluginSession:
        self._is_healthy = False
        self._relevance.begin_session()
        return PluginSession(self._name, self._index, events=EVENTS, fail_request=True, keep=self._relevance)

    def handle(self, connection: EngineConnection, what: Event) -> None:
        """Take an event of the session."""
        self._connection = None if isinstance(what, Closed) else connection
        if self._connection is None:
            self._standby.roster = None
        self.engine = self.engine if self._connection else None
        match what:
            case Request():
                self._pass_on(connection, what)
            case Synchronized():
                self._synchronize(connection, what)
            case Configured():
                self._configured(what)
            case Registered():
                event(_log, logging.INFO, "engine.registered", plugin=self._name, index=self._index)
            case Refused():
                event(_log, logging.ERROR, "engine.refused", error=str(what.error))
                connection.close()

    def _configured(self, what: Configured) -> None:
        self.engine = what
        self._injection.forget()
        self.in_force.configure(what.config)
        self._hooks.heeds_start_errors = what.runtime_name in ENGINES_THAT_HEED_START_ERRORS
        self._lane.limit_s = patience_s(what.request_timeout_ms)
        event(
            _log,
            logging.INFO,
            "engine.configured",
            engine=what.runtime_name,
            version=what.runtime_version,
            nri=what.nri_version,
            request_timeout_ms=what.request_timeout_ms,
        )

    def _synchronize(self, connection: EngineConnection, what: Synchronized) -> None:
        connection.reply(what.request, None)
        self._is_healthy = True
        event(_log, logging.INFO, "engine.synchronized", pods=what.pod_count, containers=what.container_count)
        roster = Roster(what.pods, what.containers, since_s=time.time())
        self._succession.pass_on(lambda: self._go_on(connection, roster), lambda: self._standby.begin(roster))

    def _go_on(self, connection: EngineConnection, roster: Roster) -> None:
        """Go on from what exists."""
        shares_pids = is_same_namespace("pid", connection.peer_pid()) is True
        on_missed = self.in_force.settings.on_missed
        self._unread.synchronize(roster.pods, roster.containers)

        def job(custody: Custody) -> None:
            pods, containers = roster.pods, roster.containers
            custody.synchronize(pods, containers, shares_pids=shares_pids)
            seek(custody, pods, containers, on_missed=on_missed, later=self._lane.later)

        self._lane.later(job)

    def answer_now(self, connection: EngineConnection, peek: Peek) -> bool:
        """Answer an event that was recognised without decoding, if that takes no time."""
        return self._succession.pass_on_now(self._hooks.answer_now, connection, peek)

    def _pass_on(self, connection: EngineConnection, request: Request) -> None:
        handle, note = self._hooks.handle, self._standby.note
        is_ours = self._succession.pass_on(lambda: handle(connection, request), lambda: note(request))
        if not is_ours and (held_s := self._standby.answer(connection, request)) is not None:
            handle(connection, request, held_s=held_s)

    async def _done(self, job: Callable[[Custody], None]) -> None:
        """Have custody do a job, and wait until it is done."""
        await asyncio.wrap_future(self._lane.later(job))

    # -- what goes on beside the engine -----------------------------------------------------------------------------

    def _apply(self, settings: Settings) -> None:
        """Put changed settings into force."""
        self._injection.mode = Injection(settings.injection)
        set_level(settings.log_level)

        def job(custody: Custody) -> None:
            custody.evaluator.policy = settings.policy
            custody.preparations.refresh()

        self._lane.later(job)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.in_force.reload()
            self._unread.tick()
            if self._lane.custody is None:
                await self._open()
                if self._lane.custody is not None and self._connection is not None:
                    self._connection.close()  # so that the engine lists anew what exists
            elif self._lane.holders or self._lane.custody.is_behind:
                await self._done(Custody.tick)

    async def _watch_holders(self) -> None:
        """Bring home what a container held as soon as its first process has ended, whatever the engine does."""
        await self._opened.wait()
        custody = self._lane.custody
        while custody is not None:
            await readable(custody.deaths.fileno())
            await self._done(lambda custody: custody.deaths.settle())

    async def _watch_links(self) -> None:
        """Settle what is not yet home whenever the host's links change, and prepare anew."""
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
                custody = self._lane.custody
                if custody is not None and any(claim.state.is_homeward for claim in custody.claims):
                    await self._done(Custody.settle)
                    await asyncio.to_thread(self._returns.wait)
                    events.read()  # what settling itself has changed
                    changed.clear()
                if custody is not None and custody.preparations:
                    await self._done(lambda custody: custody.preparations.refresh())
        finally:
            loop.remove_reader(events.fileno())
            events.close()


def _let_go(custody: Custody) -> None:
    """Give up what only a daemon that runs can keep."""
    custody.preparations.withdraw_all()
    custody.deaths.close()


def serve(watched: Watched) -> int:
    """Run the daemon until a signal stops it: the first SIGTERM or SIGINT drains it, the second ends it.

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
        loop.add_signal_handler(signal.SIGHUP, daemon.in_force.reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, task, number)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # what has been imported stays: the collector need not walk it again and again
    asyncio.run(main())
    return 0


def _stop(task: asyncio.Future[None], number: signal.Signals) -> None:
    if task.cancelled() or getattr(task, "cancelling", lambda: 0)():
        os._exit(128 + number)
    event(_log, logging.INFO, "daemon.stopping", signal=number.name)
    task.cancel()
