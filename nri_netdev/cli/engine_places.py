"""Where an engine's configuration is on this node.

A running engine tells by its command line. Otherwise the places are looked at in which installers keep it. Sources:
containerd cmd/containerd/command/main.go; CRI-O internal/criocli/criocli.go; k3s pkg/agent/containerd/config.go and
pkg/agent/templates; microk8s microk8s-resources/wrappers/run-containerd-with-args; k0s docs/runtime.md; Talos
pkg/machinery/constants.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nri_netdev.cli.engine_config import Document, EngineName
from nri_netdev.cli.engine_files import HERE, EngineFile, containerd_files, crio_files, exists, imports_of

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPlace:
    """Where an engine's configuration begins."""

    kind: EngineName
    path: Path
    """As the engine names it: below `root`."""
    drop_ins: Path | None = None
    """CRI-O's directory of files that it reads after `path`."""
    root: Path = HERE
    """The root directory of the engine, as seen from here."""
    pid: int = 0
    """The engine's process; 0 if it was not found by one."""
    options: Document = field(default_factory=dict)
    """What the engine's command line puts over its files."""

    @property
    def is_here(self) -> bool:
        """Whether the engine's files are at the same paths here."""
        return self.root == HERE


PLACES = (
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/etc/containerd/config.toml")),
    ConfigPlace(kind=EngineName.CRIO, path=Path("/etc/crio/crio.conf"), drop_ins=Path("/etc/crio/crio.conf.d")),
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/var/lib/rancher/k3s/agent/etc/containerd/config.toml")),
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/var/lib/rancher/rke2/agent/etc/containerd/config.toml")),
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/var/snap/microk8s/current/args/containerd.toml")),
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/etc/k0s/containerd.toml")),
    ConfigPlace(kind=EngineName.CONTAINERD, path=Path("/etc/cri/containerd.toml")),
)
"""The engines' own defaults (kind has containerd's, in the node's container), k3s, rke2, microk8s, k0s, Talos."""

_DEFAULTS = {"containerd": PLACES[0], "crio": PLACES[1]}
"""Where an engine of this program name looks if its command line says nothing."""

_CRIO_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "enable-nri": ("enable_nri",),
    "nri-listen": ("nri_listen",),
    "nri-disable-connections": ("nri_disable_connections",),
    "nri-enable-default-validator": ("default_validator", "nri_enable_default_validator"),
}
"""Options of CRI-O's command line, and what they set in its table of NRI."""


# -- where -------------------------------------------------------------------------------------------------------------


def places(pid: int = 0, *, root: Path | None = None) -> tuple[ConfigPlace, ...]:
    """Where there is an engine's configuration.

    Args:
        pid: of the engine, if it is known.
        root: the root directory of a node, to look at no process; None for this node.
    """
    if root is None:
        running = [place for one in ([pid] if pid else _engines()) if (place := _place_of(one))]
        if running:
            return tuple({(place.path, place.root): place for place in running}.values())
        root = _root_of(1)
    if root is None:
        return ()
    return tuple(
        replace(place, root=root)
        for place in PLACES
        if any(exists(path, root=root) for path in (place.path, place.drop_ins) if path)
    )


def place_of_file(kind: EngineName, path: Path) -> ConfigPlace:
    """The place of a configuration that somebody names; with its process, if an engine runs with it."""
    for place in places():
        if place.pid and place.is_here and place.path == path.absolute():
            return place
    return ConfigPlace(
        kind=kind, path=path, drop_ins=path.with_name(f"{path.name}.d") if kind is EngineName.CRIO else None
    )


def files_of(place: ConfigPlace) -> tuple[EngineFile, ...]:
    """Every file of a configuration in the order in which the engine reads them; none if it has only its defaults.

    Raises:
        ConfigurationError: One cannot be read.
    """
    if place.kind is EngineName.CRIO:
        files = tuple(crio_files(place.path, place.drop_ins, root=place.root))
    elif place.pid and not exists(place.path, root=place.root):
        files = ()
    else:
        files = tuple(containerd_files(place.path, root=place.root))
    given = EngineFile(name=f"the command line of process {place.pid}", document=place.options)
    return (*files, given) if place.options else files


def _engines() -> Iterator[int]:
    """The processes that are engines of this node.

    Not those in containers, nor such as another user gives the name of an engine.
    """
    owners = {0, os.geteuid()}
    mounts = {_mounts_of("1"), _mounts_of("self")} - {""}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and _program(_arguments(int(entry.name))) in _DEFAULTS:
            with contextlib.suppress(OSError):
                if entry.stat().st_uid in owners and _mounts_of(entry.name) in mounts:
                    yield int(entry.name)


def _place_of(pid: int) -> ConfigPlace | None:
    """Where a process that is an engine has its configuration; None if it is none, or cannot be seen.

    A path that is not absolute starts at its working directory.
    """
    arguments = _arguments(pid)
    default, root = _DEFAULTS.get(_program(arguments)), _root_of(pid)
    if default is None or root is None:
        return None
    try:
        base = (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        base = HERE
    given = _options(arguments[1:])
    path, drop_ins = given.get("config") or given.get("c"), given.get("config-dir") or given.get("d")
    if default.kind is EngineName.CRIO:
        path = path or environment(pid).get("CONTAINER_CONFIG")
    return ConfigPlace(
        kind=default.kind,
        path=base / (path or default.path),
        drop_ins=base / (drop_ins or default.drop_ins) if default.drop_ins else None,
        root=root,
        pid=pid,
        options=_crio_options(given) if default.kind is EngineName.CRIO else {},
    )


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Options of a Go program by their names without dashes; the value of a switch is "true"."""
    found: dict[str, str] = {}
    for number, argument in enumerate(arguments):
        if argument.startswith("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            following = arguments[number + 1] if number + 1 < len(arguments) else "-"
            found[name] = value if equals else "true" if following.startswith("-") else following
    return found


def _crio_options(given: Mapping[str, str]) -> Document:
    table: dict[str, Any] = {}
    for option, (*tables, key) in _CRIO_OPTIONS.items():
        if option in given:
            inner = table
            for name in tables:
                inner = inner.setdefault(name, {})
            inner[key] = {"true": True, "false": False}.get(given[option], given[option])
    return {"crio": {"nri": table}} if table else {}


# -- processes ---------------------------------------------------------------------------------------------------------


def environment(pid: int) -> Mapping[str, str]:
    """The environment in which a process was started; empty if it cannot be seen."""
    return dict(one.split("=", 1) for one in _strings(pid, "environ") if "=" in one)


def started_s(pid: int) -> float | None:
    """When a process was started, in seconds since the epoch; None if it cannot be seen (proc_pid_stat(5))."""
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        lines = (_PROC / "stat").read_text(encoding="ascii").splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return None


def _arguments(pid: int) -> list[str]:
    return _strings(pid, "cmdline")


def _strings(pid: int, name: str) -> list[str]:
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / name).read_text(encoding="utf-8", errors="surrogateescape")
        return text.removesuffix("\0").split("\0")
    return []


def _program(arguments: Sequence[str]) -> str:
    return arguments[0].rpartition("/")[2] if arguments else ""


def _mounts_of(process: str) -> str:
    """The mount namespace of a process, "" if that cannot be seen."""
    with contextlib.suppress(OSError):
        return os.readlink(_PROC / process / "ns/mnt")  # noqa: PTH115 - a magic link's text
    return ""


def _root_of(pid: int) -> Path | None:
    """The root directory of a process as seen from here; None if it is another than ours and cannot be entered."""
    if _mounts_of(str(pid)) in {"", _mounts_of("self")}:
        return HERE
    root = _PROC / str(pid) / "root"
    with contextlib.suppress(OSError):
        return root if any(root.iterdir()) else None
    return None


# -- what to change ----------------------------------------------------------------------------------------------------


def where_to_write(place: ConfigPlace, files: Sequence[EngineFile], *, saying: str = "") -> tuple[str, str]:
    """Where lines are to be written that shall be in force, and what is to be restarted then.

    Args:
        place: of the configuration.
        files: of it.
        saying: the name of that file whose lines are to be changed; "" if lines are to be added.
    """
    owner = _owner(place.path)
    restart = {"": str(place.kind), "Talos": "the node"}.get(owner, owner)
    # Talos writes all of its files anew, the others only the first.
    if saying and owner != "Talos" and (saying != str(place.path) or not owner):
        return saying, restart
    if place.drop_ins:
        return f"a new file {place.drop_ins}/99-nri.conf", restart
    main = files[0].document if files else {}
    imports = imports_of(main)
    directory = place.path.parent
    for pattern in imports:
        if pattern.endswith("*.toml"):
            return f"a new file {os.path.normpath(directory / pattern.replace('*', '99-nri'))}", restart
    template = "config-v3.toml.tmpl" if main.get("version") == 3 else "config.toml.tmpl"
    where = {
        "k3s": f'{directory}/{template}, which begins with {{{{ template "base" . }}}}',
        "rke2": f'{directory}/{template}, which begins with {{{{ template "base" . }}}}',
        "microk8s": f"{directory}/containerd-template.toml",
        "k0s": "a new file /etc/k0s/containerd.d/99-nri.toml" if imports else str(place.path),
        "Talos": "the machine configuration, as /etc/cri/conf.d/20-customization.part",
    }
    return where.get(owner, str(place.path)), restart


def _owner(path: Path) -> str:
    """What writes a file anew at each start, so that it is not the one to edit; "" if nothing does."""
    name = str(path)
    if name.endswith("/agent/etc/containerd/config.toml"):
        return "rke2" if "rke2" in path.parts else "k3s"
    if name.endswith("/args/containerd.toml"):
        return "microk8s"
    return {"/etc/k0s/containerd.toml": "k0s", "/etc/cri/containerd.toml": "Talos"}.get(name, "")
