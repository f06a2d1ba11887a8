"""Doctor: whether this node can do what nri-netdev promises, and what to change where it cannot.

Reads, asks and tries; a version number is shown but proves nothing. Changes nothing: what must be tried is tried in a
network namespace that is made for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from nri_netdev.cli.check import Check, CheckVerdict, page
from nri_netdev.cli.engine_checks import LiveEngine, engine_config_checks
from nri_netdev.cli.engine_config import ENABLE_NRI, EngineName
from nri_netdev.cli.inputs import read_settings
from nri_netdev.cli.network_managers import manager_checks
from nri_netdev.cli.node_state import read_node_state
from nri_netdev.config.settings import Injection, Settings
from nri_netdev.domain.verdict.availability import Availability
from nri_netdev.errors import KernelError, NriNetdevError, StateError
from nri_netdev.shells.engine.visit import Visit, visit
from nri_netdev.shells.kernel.changes import try_altname
from nri_netdev.shells.kernel.netns import in_new_netns, is_same_namespace
from nri_netdev.shells.observe.status import read as read_status
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from nri_netdev.wire.events import Configured
from nri_netdev.wire.versions import FIRST_WITH_NET_DEVICES

CAPABILITIES = {
    12: ("CAP_NET_ADMIN", "to read, move and restore interfaces"),
    21: ("CAP_SYS_ADMIN", "to enter and to pin network namespaces"),
    19: ("CAP_SYS_PTRACE", "to see which network namespaces processes are in"),
    5: ("CAP_KILL", "to keep a container from starting without its interface, on CRI-O"),
}
"""Name and purpose of each capability that the daemon needs, by its number."""

_WITHOUT_SANDBOXES = "docker"
"""The engine that tells plugins of its containers alone, as it calls itself."""


def run(options: argparse.Namespace) -> int:
    """Print every check; 0 if nothing must be changed."""
    checks = examine(lambda: read_settings(options), engine_config=options.engine_config)
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print(page(checks))
    return int(any(check.verdict is CheckVerdict.CHANGE for check in checks))


def examine(
    load: Callable[[], Settings], *, engine_config: Path | None = None, root: Path | None = None
) -> tuple[Check, ...]:
    """Make every check.

    Args:
        load: reads the settings of the daemon.
        engine_config: the engine's configuration file; None to find it.
        root: the root directory of a node, below which the engine's configuration is; None for this node.
    """
    try:
        settings = load()
        first = Check(topic="config", found=f"injection {settings.injection}, on_missed {settings.on_missed}")
    except NriNetdevError as error:
        settings = Settings()
        first = Check(topic="config", found=str(error), verdict=CheckVerdict.CHANGE, advice="correct the configuration")
    live, engine = _engine(settings)
    return (
        first,
        *_kernel(),
        *_capabilities(),
        *_state(settings),
        *engine,
        *engine_config_checks(live, socket=settings.socket, chosen=engine_config, root=root),
        *_mounts(settings),
        *_managers(settings),
    )


# -- this machine ------------------------------------------------------------------------------------------------------


def _kernel() -> Iterator[Check]:
    release = platform.release()
    try:
        in_new_netns(try_altname)
    except KernelError as error:
        yield Check(
            topic="kernel",
            found=f"Linux {release}: alternative interface names cannot be tried or do not work: {error}",
            verdict=CheckVerdict.CHANGE,
            advice="use Linux 5.5 or newer, and run this as root with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        )
        return
    yield Check(topic="kernel", found=f"Linux {release}: alternative interface names work")


def _capabilities() -> Iterator[Check]:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    for number, (name, purpose) in CAPABILITIES.items():
        if effective >> number & 1:
            yield Check(topic="capabilities", found=name)
        else:
            yield Check(
                topic="capabilities",
                found=f"{name} is missing",
                verdict=CheckVerdict.CHANGE,
                advice=f"add {name.removeprefix('CAP_')} to securityContext.capabilities, {purpose}",
            )


def _state(settings: Settings) -> Iterator[Check]:
    directory = settings.state_dir
    try:
        if not (directory / "ledger.db").exists():
            existing = next(path for path in (directory, *directory.parents) if path.exists())
            is_writable = os.access(existing, os.W_OK | os.X_OK)
            yield Check(
                topic="state",
                found=f"{directory}: no ledger yet" + ("" if is_writable else f", and {existing} is not writable"),
                verdict=CheckVerdict.OK if is_writable else CheckVerdict.CHANGE,
                advice="" if is_writable else f"make {existing} writable, or choose another --state-dir",
            )
            return
        with Ledger(directory, must_exist=True) as ledger:
            claims = [claim for claim in ledger.claims() if claim.state.is_binding]
        lock = Lock(directory)
        with contextlib.closing(lock):
            pid = lock.take()
        serving = "no daemon runs on it" if pid is None else f"served by process {pid}"
        yield Check(topic="state", found=f"{directory}: {len(claims)} claims, {serving}")
        for claim in claims:
            for trouble in claim.troubles:
                yield Check(topic="state", found=f"{claim.ifname}: {trouble}", verdict=CheckVerdict.NOTE)
    except StateError as error:
        yield Check(topic="state", found=str(error), verdict=CheckVerdict.CHANGE, advice=error.hint)


def _mounts(settings: Settings) -> Iterator[Check]:
    """Whether pins that are made in a container reach the host; those that do not end with the container."""
    if is_same_namespace("mnt", 1) is not False:
        yield Check(topic="mounts", found="the mount namespace is that of process 1")
        return
    for directory, wanted, mode in (
        (settings.run_dir, ("shared:",), "Bidirectional"),
        (Path("/run/netns"), ("shared:", "master:"), "HostToContainer"),
    ):
        tags = _propagation(directory)
        if any(tag.startswith(wanted) for tag in tags):
            yield Check(topic="mounts", found=f"{directory} is mounted with propagation")
        else:
            yield Check(
                topic="mounts",
                found=f"{directory} is not mounted with propagation",
                verdict=CheckVerdict.NOTE,
                advice=f"mount the host's {directory} with mountPropagation: {mode}",
            )


def _propagation(path: Path) -> tuple[str, ...]:
    """The optional fields of the mount that a path is on (proc_pid_mountinfo(5))."""
    real = os.path.realpath(path)
    best: tuple[int, tuple[str, ...]] = (0, ())
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        point = fields[4]
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= best[0]:
            best = len(point), tuple(fields[6 : fields.index("-")])
    return best[1]


def _managers(settings: Settings) -> Iterator[Check]:
    """Whether another program sets up what can be given away."""
    with contextlib.suppress(NriNetdevError):  # of the ledger it is told elsewhere
        node = read_node_state(settings)
        available = Availability(node)
        yield from manager_checks(
            {link.ifindex: link.ifname for link in node.inventory.links if available.why_not(link) is None}
        )


# -- the engine --------------------------------------------------------------------------------------------------------


def _engine(settings: Settings) -> tuple[LiveEngine | None, tuple[Check, ...]]:
    """The engine that answers, if one does, and what is to be said of it."""
    try:
        visited = visit(settings.socket)
    except (OSError, TimeoutError, NriNetdevError) as error:
        reason = str(error) or "it does not answer"
    else:
        engine = visited.engine
        live = LiveEngine(name=engine.runtime_name, version=engine.runtime_version, pid=visited.pid)
        return live, tuple(_visited(settings, visited))
    registered = _registered(settings)
    if registered:
        check = Check(
            topic="engine",
            found=f"{registered} has the daemon registered, and does not answer nri-netdev doctor: {reason}",
            verdict=CheckVerdict.NOTE,
            advice="try again",
        )
        return registered, (check,)
    check = Check(
        topic="engine",
        found=f"no NRI at {settings.socket}: {reason}",
        verdict=CheckVerdict.CHANGE,
        advice="start the engine and turn NRI on: in containerd's configuration\n"
        f"{ENABLE_NRI[EngineName.CONTAINERD]}\nin CRI-O's\n{ENABLE_NRI[EngineName.CRIO]}",
    )
    return None, (check,)


def _registered(settings: Settings) -> LiveEngine | None:
    """The engine with which the running daemon is registered at this socket; None if there is none."""
    with contextlib.suppress(StateError):
        document = read_status(settings.run_dir)
        engine = document.get("engine")
        if engine and document.get("socket") == str(settings.socket):
            return LiveEngine(name=engine["name"], version=engine["version"])
    return None


def _visited(settings: Settings, visited: Visit) -> Iterator[Check]:
    engine, pid = visited.engine, visited.pid
    has_sandboxes = engine.runtime_name != _WITHOUT_SANDBOXES
    yield Check(
        topic="engine",
        found=f"{engine.runtime_name} {engine.runtime_version} answers at {settings.socket}",
        verdict=CheckVerdict.OK if has_sandboxes else CheckVerdict.CHANGE,
        advice=""
        if has_sandboxes
        else "its containers have no pod sandbox, and get no interface; run nri-netdev with "
        "--socket PATH of containerd or CRI-O",
    )
    yield _nri(engine)
    for kind, name in (("net", "hostNetwork"), ("pid", "hostPID")):
        same = is_same_namespace(kind, pid) if pid else False
        if same:
            yield Check(topic="namespaces", found=f"the {kind} namespace is the engine's")
        else:
            yield Check(
                topic="namespaces",
                found=f"the {kind} namespace is not the engine's" if pid else "the engine's process cannot be seen",
                verdict=CheckVerdict.CHANGE,
                advice=f"run in the host's {kind} namespace: {name}: true" if pid else "hostPID: true",
            )


def _nri(engine: Configured) -> Check:
    known = f"NRI {engine.nri_version}" if engine.nri_version else "the engine does not tell its NRI version"
    if engine.nri_release is None or engine.nri_release >= FIRST_WITH_NET_DEVICES:
        return Check(
            topic="nri",
            found=known,
            advice=""
            if engine.nri_release
            else "whether it knows linux.netDevices shows with the first container; "
            f"where it does not, injection: {Injection.AUTO} moves interfaces all the same",
            verdict=CheckVerdict.OK if engine.nri_release else CheckVerdict.NOTE,
        )
    return Check(
        topic="nri",
        found=f"{known} drops linux.netDevices",
        verdict=CheckVerdict.NOTE,
        advice=f"nothing with injection: {Injection.AUTO}, which moves interfaces itself; else update the engine",
    )
