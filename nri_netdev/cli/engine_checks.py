"""What the doctor says of an engine's configuration: whether it turns NRI on, and what its OCI runtimes can do.

An engine that answers overrules its files: they may have changed since it started, or be another engine's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.cli.check import Check, CheckVerdict
from nri_netdev.cli.engine_config import (
    ENABLE_NRI,
    ENABLE_VALIDATOR,
    NRI_IS_ON_SINCE,
    NRI_PLUGIN,
    EngineConfig,
    EngineName,
    kind_of,
    read,
    release_of,
    turns_nri_off,
)
from nri_netdev.cli.engine_files import EngineFile, read_file
from nri_netdev.cli.engine_places import (
    ConfigPlace,
    environment,
    files_of,
    place_of_file,
    places,
    started_s,
    where_to_write,
)
from nri_netdev.config.settings import Injection
from nri_netdev.errors import ConfigurationError

PATIENCE_S = 10.0
"""How long an OCI runtime may take to list its features."""
_TOPIC = "engine config"
_KINDS = {"containerd": EngineName.CONTAINERD, "cri-o": EngineName.CRIO}
"""Engines by what they call themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEngine:
    """An engine whose NRI answers now, or has the daemon registered."""

    name: str
    """As in Configure: "containerd" or "cri-o"."""
    version: str
    pid: int = 0
    """Its process; 0 if that cannot be seen."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReading:
    """A configuration that was read."""

    place: ConfigPlace
    files: tuple[EngineFile, ...]
    config: EngineConfig


def engine_config_checks(
    live: LiveEngine | None, *, socket: Path, chosen: Path | None = None, root: Path | None = None
) -> Iterator[Check]:
    """Check the configuration of the engine.

    Args:
        live: the engine that answers; None if none does.
        socket: where the daemon looks for NRI.
        chosen: the configuration file; None to find it.
        root: the root directory of a node, to look at no process; None for this node.
    """
    found = [_place_of(chosen, live)] if chosen else places(live.pid if live else 0, root=root)
    kinds = {_KINDS[live.name]} if live and live.name in _KINDS and not chosen else set(EngineName)
    outcomes = [one if isinstance(one, Check) else _read(one, live) for one in found]
    unread = [one for one in outcomes if isinstance(one, Check)]
    readings = [one for one in outcomes if isinstance(one, EngineReading) and one.config.kind in kinds]
    serving = [reading for reading in readings if reading.config.serves_pods] or readings
    yield from unread
    if len(serving) == 1:
        yield from _checks_of(serving[0], live, socket)
    elif serving:
        yield Check(
            topic=_TOPIC,
            found="several can be seen: " + ", ".join(str(reading.place.path) for reading in serving),
            verdict=CheckVerdict.NOTE,
            advice="name that of the engine which runs pods: --engine-config FILE",
        )
    elif not unread:
        yield Check(
            topic=_TOPIC,
            found="none can be seen from here",
            verdict=CheckVerdict.NOTE,
            advice="run nri-netdev doctor on the node itself, or name it: --engine-config FILE",
        )


def _place_of(path: Path, live: LiveEngine | None) -> ConfigPlace | Check:
    try:
        kind = kind_of(read_file(path).document) or (_KINDS.get(live.name) if live else None)
    except ConfigurationError as error:
        return Check(topic=_TOPIC, found=str(error), verdict=CheckVerdict.NOTE)
    if kind is None:
        return Check(topic=_TOPIC, found=f"{path} is neither containerd's nor CRI-O's", verdict=CheckVerdict.NOTE)
    return place_of_file(kind, path)


def _read(place: ConfigPlace, live: LiveEngine | None) -> EngineReading | Check:
    try:
        files = files_of(place)
    except ConfigurationError as error:
        return Check(topic=_TOPIC, found=str(error), verdict=CheckVerdict.NOTE)
    release = release_of(live.version) if live and _KINDS.get(live.name) is place.kind else None
    config = read(place.kind, [file.document for file in files], release=release)
    return EngineReading(place=place, files=files, config=config)


def _checks_of(reading: EngineReading, live: LiveEngine | None, socket: Path) -> Iterator[Check]:
    yield _nri(reading, live, socket)
    yield _validator(reading.config)
    search = environment(reading.place.pid).get("PATH") if reading.place.pid and reading.place.is_here else None
    for handler, program in sorted(reading.config.handlers.items()):
        yield _runtime(handler, program, search)


def _nri(reading: EngineReading, live: LiveEngine | None, socket: Path) -> Check:
    config, path = reading.config, reading.place.path
    if config.is_open is False or not config.serves_pods:
        return _off(reading, live)
    if live is not None:
        return Check(topic=_TOPIC, found=f"{path}: {config.kind} with NRI")
    if config.is_open is None:
        since = ".".join(map(str, NRI_IS_ON_SINCE[config.kind]))
        return Check(
            topic=_TOPIC,
            found=f"{path} does not say whether NRI is on; it is by default since {config.kind} {since}",
            verdict=CheckVerdict.NOTE,
            advice=_lines(reading),
        )
    if os.path.realpath(config.socket) != os.path.realpath(socket):
        return Check(
            topic=_TOPIC,
            found=f"{path}: {config.kind} with NRI at {config.socket}, and nri-netdev looks at {socket}",
            verdict=CheckVerdict.CHANGE,
            advice=f"run nri-netdev with --socket {config.socket}",
        )
    return _unanswered(reading)


def _off(reading: EngineReading, live: LiveEngine | None) -> Check:
    """A configuration with which no plugin can connect; where one can, it is not in force."""
    config, place = reading.config, reading.place
    saying = next((one.name for one in reversed(reading.files) if turns_nri_off(config.kind, one.document)), "")
    what = "NRI turned off, or without its socket" if config.serves_pods else "CRI turned off, by disabled_plugins"
    found, advice = f"{saying or place.path}: {config.kind} with {what}", _lines(reading, saying)
    if live is None:
        return Check(topic=_TOPIC, found=found, verdict=CheckVerdict.CHANGE, advice=advice)
    return Check(
        topic=_TOPIC,
        found=f"{found}; that is not in force, since {live} answers",
        verdict=CheckVerdict.NOTE,
        advice=f"it is another engine's, or has changed since {live.name} started; then this is to be done "
        f"before its next start:\n{advice}",
    )


def _lines(reading: EngineReading, saying: str = "") -> str:
    """What to write where, to have NRI on."""
    config = reading.config
    if not config.serves_pods:
        place = reading.place.path
        return f"remove cri from disabled_plugins in {place} and restart {config.kind}, if that is to run pods"
    where, restart = where_to_write(reading.place, reading.files, saying=saying)
    if saying and saying == reading.files[-1].name and reading.place.options:
        return f"remove --enable-nri and --nri-disable-connections from {saying}, and restart {restart}"
    if NRI_PLUGIN in config.disabled_plugins:
        return f"remove {NRI_PLUGIN} from disabled_plugins in {where} and restart {restart}"
    return f"in {where}\n{ENABLE_NRI[config.kind]}\nand restart {restart}"


def _unanswered(reading: EngineReading) -> Check:
    """A configuration with which NRI would answer, while it does not."""
    config, place = reading.config, reading.place
    _, restart = where_to_write(place, reading.files)
    started = started_s(place.pid) if place.pid else None
    newer = [file.name for file in reading.files if started and file.changed_s > started + 1]
    if newer:
        return Check(
            topic=_TOPIC,
            found=f"{place.path}: {config.kind} with NRI, but {', '.join(newer)} changed after it had started",
            verdict=CheckVerdict.CHANGE,
            advice=f"restart {restart}",
        )
    return Check(
        topic=_TOPIC,
        found=f"{place.path}: {config.kind} with NRI, but it does not answer",
        verdict=CheckVerdict.NOTE,
        advice=f"start {restart}; or restart it, if its configuration has changed since it started",
    )


def _validator(config: EngineConfig) -> Check:
    if config.validator_is_enabled:
        return Check(topic="fail-open", found="the default validator refuses pods whose required plugin is not there")
    return Check(
        topic="fail-open",
        found="while no nri-netdev runs, containers are created without their interfaces",
        verdict=CheckVerdict.NOTE,
        advice="nri-netdev finds them when it is back (on_missed); to have them refused meanwhile, turn on\n"
        f"{ENABLE_VALIDATOR[config.kind]}\nand annotate pods with required-plugins.noderesource.dev: "
        "'[\"nri-netdev\"]'",
    )


def _runtime(handler: str, program: str, search: str | None) -> Check:
    """Ask a runtime for its features; one that does not report them gets a note."""
    topic = f"runtime {handler}"
    path = shutil.which(program, path=search)
    if path is None:
        return Check(
            topic=topic,
            found=f"{program} is not to be found from here",
            verdict=CheckVerdict.NOTE,
            advice="ask on the node",
        )
    help_is_near = f"nothing with injection: {Injection.AUTO}: nri-netdev sees whether interfaces arrive and moves them"
    try:
        done = subprocess.run([path, "features"], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        devices = json.loads(done.stdout).get("linux", {}).get("netDevices")
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError):
        return Check(
            topic=topic, found=f"{path} cannot tell its features", verdict=CheckVerdict.NOTE, advice=help_is_near
        )
    if isinstance(devices, dict) and devices.get("enabled"):
        return Check(topic=topic, found=f"{path} moves network devices")
    return Check(
        topic=topic,
        found=f"{path} does not say that it moves network devices",
        verdict=CheckVerdict.NOTE,
        advice=help_is_near,
    )
