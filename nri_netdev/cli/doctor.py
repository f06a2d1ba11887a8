"""Doctor: whether this node can do what nri-netdev promises, and what to change where it cannot.

Looks, asks and tries; a version number is told but proves nothing. Changes nothing: what must be tried is tried in a
network namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from nri_netdev.cli import engine_config as engines
from nri_netdev.config.settings import Injection, Settings
from nri_netdev.errors import KernelError, NriNetdevError, StateError
from nri_netdev.shells.engine.visit import visit
from nri_netdev.shells.kernel.netns import in_new_netns
from nri_netdev.shells.kernel.rtnetlink import try_altname
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from nri_netdev.wire.events import Configured
from nri_netdev.wire.versions import FIRST_WITH_NET_DEVICES

PATIENCE_S = 10.0
"""How long a runtime may take to answer."""
ENGINE_CONFIGS = (Path("/etc/containerd/config.toml"), Path("/etc/crio/crio.conf"))

CAPABILITIES = {
    12: ("CAP_NET_ADMIN", "to read, move and restore interfaces"),
    21: ("CAP_SYS_ADMIN", "to enter and to pin network namespaces"),
    19: ("CAP_SYS_PTRACE", "to see which network namespaces processes are in"),
    5: ("CAP_KILL", "to keep a container from starting without its interface, on CRI-O"),
}
"""What the daemon needs, by number, and what for."""


class Verdict(StrEnum):
    """What a finding means."""

    OK = "ok"
    NOTE = "note"
    """It works, and could be better."""
    CHANGE = "change"
    """It will not work until this is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    found: str
    verdict: Verdict = Verdict.OK
    advice: str = ""
    """What to change, with the exact lines; empty when nothing."""


def examine(load: Callable[[], Settings], *, engine_config: Path | None = None) -> tuple[Finding, ...]:
    """Look at everything.

    Args:
        load: reads the settings of the daemon.
        engine_config: the engine's configuration file; None for the first of `ENGINE_CONFIGS` that is there.
    """
    try:
        settings = load()
        first = Finding(topic="config", found=f"injection {settings.injection}, on_missed {settings.on_missed}")
    except NriNetdevError as error:
        settings = Settings()
        first = Finding(topic="config", found=str(error), verdict=Verdict.CHANGE, advice="correct the configuration")
    return (
        first,
        *_kernel(),
        *_capabilities(),
        *_state(settings),
        *_engine(settings),
        *_engine_config(engine_config),
        *_mounts(settings),
    )


# -- this machine ------------------------------------------------------------------------------------------------------


def _kernel() -> Iterator[Finding]:
    release = platform.release()
    try:
        in_new_netns(try_altname)
    except KernelError as error:
        yield Finding(
            topic="kernel",
            found=f"Linux {release}: alternative interface names cannot be tried or do not work: {error}",
            verdict=Verdict.CHANGE,
            advice="use Linux 5.5 or newer, and run this as root with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        )
        return
    yield Finding(topic="kernel", found=f"Linux {release}: alternative interface names work")


def _capabilities() -> Iterator[Finding]:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    for number, (name, purpose) in CAPABILITIES.items():
        if effective >> number & 1:
            yield Finding(topic="capabilities", found=name)
        else:
            yield Finding(
                topic="capabilities",
                found=f"{name} is missing",
                verdict=Verdict.CHANGE,
                advice=f"add {name.removeprefix('CAP_')} to securityContext.capabilities, {purpose}",
            )


def _state(settings: Settings) -> Iterator[Finding]:
    directory = settings.state_dir
    try:
        if not (directory / "ledger.db").exists():
            existing = next(path for path in (directory, *directory.parents) if path.exists())
            is_writable = os.access(existing, os.W_OK | os.X_OK)
            yield Finding(
                topic="state",
                found=f"{directory}: no ledger yet" + ("" if is_writable else f", and {existing} is not writable"),
                verdict=Verdict.OK if is_writable else Verdict.CHANGE,
                advice="" if is_writable else f"make {existing} writable, or choose another --state-dir",
            )
            return
        with Ledger(directory, must_exist=True) as ledger:
            claims = ledger.claims()
        lock = Lock(directory)
        with contextlib.closing(lock):
            pid = lock.take()
        serving = "no daemon runs on it" if pid is None else f"served by process {pid}"
        yield Finding(topic="state", found=f"{directory}: {len(claims)} claims, {serving}")
        for claim in claims:
            for trouble in claim.troubles:
                yield Finding(topic="state", found=f"{claim.ifname}: {trouble}", verdict=Verdict.NOTE)
    except StateError as error:
        yield Finding(topic="state", found=str(error), verdict=Verdict.CHANGE, advice=str(error).rpartition("; ")[2])


def _mounts(settings: Settings) -> Iterator[Finding]:
    """In a container pins must reach the host, or they end with the container that made them."""
    if _same_namespace("mnt", 1) is not False:
        yield Finding(topic="mounts", found="the mount namespace is that of process 1")
        return
    for directory, wanted, mode in (
        (settings.run_dir, ("shared:",), "Bidirectional"),
        (Path("/run/netns"), ("shared:", "master:"), "HostToContainer"),
    ):
        tags = _propagation(directory)
        if any(tag.startswith(wanted) for tag in tags):
            yield Finding(topic="mounts", found=f"{directory} is mounted with propagation")
        else:
            yield Finding(
                topic="mounts",
                found=f"{directory} is not mounted with propagation",
                verdict=Verdict.NOTE,
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


def _same_namespace(kind: str, pid: int) -> bool | None:
    """Whether a process is in our namespace of a kind; None if that cannot be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116
    except OSError:
        return None


# -- the engine --------------------------------------------------------------------------------------------------------


def _engine(settings: Settings) -> Iterator[Finding]:
    try:
        visited = visit(settings.socket)
    except (OSError, TimeoutError, NriNetdevError) as error:
        reason = str(error) or "it does not answer"
        yield Finding(
            topic="engine",
            found=f"no NRI at {settings.socket}: {reason}",
            verdict=Verdict.CHANGE,
            advice="start the engine and turn NRI on: in containerd's configuration\n"
            f"{engines.ENABLE_NRI[engines.Kind.CONTAINERD]}\nin CRI-O's\n{engines.ENABLE_NRI[engines.Kind.CRIO]}",
        )
        return
    told, pid = visited.engine, visited.pid
    yield Finding(topic="engine", found=f"{told.runtime_name} {told.runtime_version} answers at {settings.socket}")
    yield _nri(told)
    for kind, name in (("net", "hostNetwork"), ("pid", "hostPID")):
        same = _same_namespace(kind, pid) if pid else False
        if same:
            yield Finding(topic="namespaces", found=f"the {kind} namespace is the engine's")
        else:
            yield Finding(
                topic="namespaces",
                found=f"the {kind} namespace is not the engine's" if pid else "the engine's process cannot be seen",
                verdict=Verdict.CHANGE,
                advice=f"run in the host's {kind} namespace: {name}: true" if pid else "hostPID: true",
            )


def _nri(told: Configured) -> Finding:
    known = f"NRI {told.nri_version}" if told.nri_version else "the engine does not tell its NRI version"
    if told.nri_release is None or told.nri_release >= FIRST_WITH_NET_DEVICES:
        return Finding(
            topic="nri",
            found=known,
            advice=""
            if told.nri_release
            else "whether it knows linux.netDevices shows with the first container; "
            f"where it does not, injection: {Injection.AUTO} moves interfaces all the same",
            verdict=Verdict.OK if told.nri_release else Verdict.NOTE,
        )
    return Finding(
        topic="nri",
        found=f"{known} drops linux.netDevices",
        verdict=Verdict.NOTE,
        advice=f"nothing with injection: {Injection.AUTO}, which moves interfaces itself; else update the engine",
    )


# -- what the engine is told -------------------------------------------------------------------------------------------


def _engine_config(path: Path | None) -> Iterator[Finding]:
    chosen = path or next((candidate for candidate in ENGINE_CONFIGS if candidate.exists()), None)
    if chosen is None:
        yield Finding(
            topic="engine config",
            found="none can be seen from here",
            verdict=Verdict.NOTE,
            advice="run nri-netdev doctor on the node itself, or name it: --engine-config FILE",
        )
        return
    try:
        read = engines.read(_load_toml(chosen))
    except (OSError, tomllib.TOMLDecodeError) as error:
        yield Finding(topic="engine config", found=f"cannot read {chosen}: {error}", verdict=Verdict.NOTE)
        return
    if read is None:
        yield Finding(
            topic="engine config", found=f"{chosen} is neither containerd's nor CRI-O's", verdict=Verdict.NOTE
        )
        return
    yield _enabled(chosen, read)
    yield _validator(read)
    for handler, program in sorted(read.handlers.items()):
        yield _runtime(handler, program or ("runc" if read.kind is engines.Kind.CONTAINERD else "crun"))


def _load_toml(path: Path) -> dict[str, Any]:
    """A configuration with its drop-in files: containerd's `imports`, CRI-O's directory beside the file."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    patterns = [Path(pattern) for pattern in document.get("imports", []) if isinstance(pattern, str)]
    parts = [part for pattern in patterns for part in sorted(pattern.parent.glob(pattern.name))]
    parts += sorted(path.with_name(f"{path.name}.d").glob("*.conf"))
    for part in parts:
        document = engines.merge(document, tomllib.loads(part.read_text(encoding="utf-8")))
    return document


def _enabled(path: Path, read: engines.EngineConfig) -> Finding:
    if read.nri_is_enabled and read.accepts_connections:
        return Finding(topic="engine config", found=f"{path}: {read.kind} with NRI")
    return Finding(
        topic="engine config",
        found=f"{path}: {read.kind} with NRI turned off, or without its socket",
        verdict=Verdict.CHANGE,
        advice=f"in {path}\n{engines.ENABLE_NRI[read.kind]}\nand restart {read.kind}",
    )


def _validator(read: engines.EngineConfig) -> Finding:
    if read.validator_is_enabled:
        return Finding(topic="fail-open", found="the default validator refuses pods whose required plugin is not there")
    return Finding(
        topic="fail-open",
        found="while no nri-netdev runs, containers are created without their interfaces",
        verdict=Verdict.NOTE,
        advice="nri-netdev finds them when it is back (on_missed); to have them refused meanwhile, turn on\n"
        f"{engines.ENABLE_VALIDATOR[read.kind]}\nand annotate pods with required-plugins.noderesource.dev: "
        "'[\"nri-netdev\"]'",
    )


def _runtime(handler: str, program: str) -> Finding:
    """Ask a runtime what it can; what it does not tell is not held against it."""
    topic = f"runtime {handler}"
    path = shutil.which(program)
    if path is None:
        return Finding(
            topic=topic, found=f"{program} is not to be found from here", verdict=Verdict.NOTE, advice="ask on the node"
        )
    help_is_near = f"nothing with injection: {Injection.AUTO}: nri-netdev sees whether interfaces arrive and moves them"
    try:
        done = subprocess.run([path, "features"], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        devices = json.loads(done.stdout).get("linux", {}).get("netDevices")
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError):
        return Finding(topic=topic, found=f"{path} cannot tell its features", verdict=Verdict.NOTE, advice=help_is_near)
    if isinstance(devices, dict) and devices.get("enabled"):
        return Finding(topic=topic, found=f"{path} moves network devices")
    return Finding(
        topic=topic,
        found=f"{path} does not say that it moves network devices",
        verdict=Verdict.NOTE,
        advice=help_is_near,
    )
