"""NRI and OCI runtimes in an engine's configuration, read from the parsed TOML of all its files. Pure.

Files are laid over one another as the engine itself does it, and what they leave open is what its version has by
default. Sources: containerd cmd/containerd/server/config/config.go (1.x: services/server/config/config.go) and
plugins/cri/runtime/plugin.go; CRI-O pkg/config/config.go and internal/config/nri/nri.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]
"""A parsed TOML file."""
EngineRelease = tuple[int, int]
"""As in (2, 3)."""
DEFAULT_SOCKET = Path("/var/run/nri/nri.sock")
"""Where NRI listens if no file says it, on either engine."""


class EngineName(StrEnum):
    """The engines that have NRI."""

    CONTAINERD = "containerd"
    CRIO = "CRI-O"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """An engine's settings of NRI and of OCI runtimes."""

    kind: EngineName
    nri_is_enabled: bool | None
    """None if no file says it, and versions of the engine differ; see `NRI_IS_ON_SINCE`."""
    accepts_connections: bool
    """Whether NRI listens on a socket at all; otherwise only plugins that the engine launches connect."""
    validator_is_enabled: bool
    """Whether the engine's default validator refuses pods whose required plugin is not registered."""
    socket: Path
    """Where NRI listens."""
    disabled_plugins: frozenset[str] = frozenset()
    """Plugins that a containerd does not start, by their names since version 2."""
    handlers: Mapping[str, str] = field(default_factory=dict)
    """Program of each runtime handler, by the handler's name; the engine looks for one without a slash on its PATH."""

    @property
    def serves_pods(self) -> bool:
        """Whether CRI is on; a containerd that only serves Docker has it turned off."""
        return not self.disabled_plugins & {_CRI, _RUNTIME}

    @property
    def is_open(self) -> bool | None:
        """Whether a plugin can connect; None if that depends on the engine's version."""
        return self.accepts_connections and self.nri_is_enabled


ENABLE_NRI: Mapping[EngineName, str] = {
    EngineName.CONTAINERD: "[plugins.'io.containerd.nri.v1.nri']\n  disable = false\n  disable_connections = false",
    EngineName.CRIO: "[crio.nri]\nenable_nri = true\nnri_disable_connections = false",
}
"""The lines that turn NRI on."""

ENABLE_VALIDATOR: Mapping[EngineName, str] = {
    EngineName.CONTAINERD: "[plugins.'io.containerd.nri.v1.nri'.default_validator]\n  enable = true",
    EngineName.CRIO: "[crio.nri.default_validator]\nnri_enable_default_validator = true",
}
"""The lines that make the engine refuse a pod whose required plugin is not registered."""

NRI_IS_ON_SINCE: Mapping[EngineName, EngineRelease] = {EngineName.CONTAINERD: (2, 0), EngineName.CRIO: (1, 30)}
"""The first release in which NRI is on where no file says it."""

NRI_PLUGIN = "io.containerd.nri.v1.nri"
_CRI = "io.containerd.grpc.v1.cri"
"""CRI in containerd 1; in containerd 2 only its server, which is still turned off by this name."""
_RUNTIME = "io.containerd.cri.v1.runtime"
"""CRI's runtimes in containerd 2."""
_FIRST_OF_CONTAINERD_2 = 3
"""The first version of the configuration that containerd 1 does not know."""
_FIRST_WITH_VERSION_4: EngineRelease = (2, 3)
"""The first containerd that migrates a configuration of version 3."""
_BEFORE: EngineRelease = (1, 0)
"""Of either engine, older than what is in `NRI_IS_ON_SINCE`."""


def kind_of(document: Document) -> EngineName | None:
    """Whose configuration a document is; None if it is neither engine's."""
    if "crio" in document:
        return EngineName.CRIO
    return EngineName.CONTAINERD if document.keys() & {"version", "plugins", "imports"} else None


def release_of(version: str) -> EngineRelease | None:
    """The release in an engine's version, such as "v2.3.4"; None if there is none."""
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})\b", version, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def read(kind: EngineName, documents: Sequence[Document], *, release: EngineRelease | None = None) -> EngineConfig:
    """Read a configuration.

    Args:
        kind: whose it is.
        documents: of all its files, in the order in which the engine reads them; none if it has only its defaults.
        release: of the engine; None if not known.
    """
    reading = {EngineName.CONTAINERD: _containerd, EngineName.CRIO: _crio}[kind]
    possible = [release] if release else [_BEFORE, NRI_IS_ON_SINCE[kind]]
    if not release and kind is EngineName.CONTAINERD and documents and _version(documents[0]) >= _FIRST_OF_CONTAINERD_2:
        possible = possible[1:]
    *older, newest = (reading(documents, one) for one in possible)
    agrees = all(one.nri_is_enabled == newest.nri_is_enabled for one in older)
    return newest if agrees else replace(newest, nri_is_enabled=None)


def turns_nri_off(kind: EngineName, document: Document) -> bool:
    """Whether this document by itself says that NRI is off, or has no socket."""
    return not read(kind, [document], release=NRI_IS_ON_SINCE[kind]).is_open


# -- containerd --------------------------------------------------------------------------------------------------------


def _containerd(documents: Sequence[Document], release: EngineRelease) -> EngineConfig:
    is_2 = release >= NRI_IS_ON_SINCE[EngineName.CONTAINERD]
    plugins: Document = {}
    disabled: set[str] = set()
    declared = next((version for one in reversed(documents) if (version := _version(one))), 0)
    for document in documents:
        version = _version(document) if is_2 else declared
        added = {_full_name(name, version, is_2): value for name, value in _table(document, "plugins").items()}
        # In containerd 1 a plugin's table of a later file replaces that of an earlier one.
        plugins = merge(plugins, _migrated(added, version, release)) if is_2 else {**plugins, **added}
        disabled |= {_full_name(name, version, is_2) for name in _texts(document.get("disabled_plugins"))}
    nri = _table(plugins, NRI_PLUGIN)
    runtimes = _table(plugins, _RUNTIME if is_2 else _CRI, "containerd", "runtimes")
    handlers = {name: _program_of(_table(runtimes, name)) for name in runtimes}
    if is_2 or not handlers:  # containerd 2 keeps its default handler beside those in the files
        handlers = {"runc": "runc", **handlers}
    return EngineConfig(
        kind=EngineName.CONTAINERD,
        nri_is_enabled=not nri.get("disable", not is_2) and NRI_PLUGIN not in disabled,
        accepts_connections=not nri.get("disable_connections", False),
        validator_is_enabled=bool(_table(nri, "default_validator").get("enable", False)),
        socket=Path(str(nri.get("socket_path") or DEFAULT_SOCKET)),
        disabled_plugins=frozenset(disabled),
        handlers=handlers,
    )


def _version(document: Document) -> int:
    version = document.get("version")
    return version if isinstance(version, int) else 0


def _full_name(plugin: str, version: int, is_2: bool) -> str:
    """The name that a plugin has since version 2; in version 1, containerd 1 reads short names only: "" for others."""
    if version > 1:
        return plugin
    return {"cri": _CRI}.get(plugin, plugin) if is_2 else {"cri": _CRI, "nri": NRI_PLUGIN}.get(plugin, "")


def _migrated(plugins: Document, version: int, release: EngineRelease) -> Document:
    """Plugins' tables as containerd 2 has them: what an older version says of runtimes is where version 3 has it."""
    newest = 4 if release >= _FIRST_WITH_VERSION_4 else 3
    if version >= newest or _CRI not in plugins:
        return plugins
    old, new = ({"containerd": _table(plugins, name, "containerd")} for name in (_CRI, _RUNTIME))
    # Key by key, and the new place wins: so `runtimes` as a whole.
    both = {"containerd": {**old["containerd"], **new["containerd"]}}
    return {**plugins, _RUNTIME: {**_table(plugins, _RUNTIME), **both}}


def _program_of(runtime: Document) -> str:
    """The OCI runtime that the shim of runc calls, or else another kind's shim, which is an OCI runtime itself."""
    kind = str(runtime.get("runtime_type") or "io.containerd.runc.v2")
    if "/" in kind:
        return kind
    *_, name, version = f"..{kind}".split(".")
    if name == "runc":
        return str(_table(runtime, "options").get("BinaryName") or "runc")
    return f"containerd-shim-{name}-{version}"


# -- CRI-O -------------------------------------------------------------------------------------------------------------


def _crio(documents: Sequence[Document], release: EngineRelease) -> EngineConfig:
    nri: Document = {}
    runtime: Document = {"runtimes": {"crun": {}}}
    for document in documents:
        nri = merge(nri, _table(document, "crio", "nri"))
        added = _table(document, "crio", "runtime")
        # A later file's table of a handler replaces the earlier one's.
        handlers = {**_table(runtime, "runtimes"), **_table(added, "runtimes")}
        runtime = {**runtime, **added, "runtimes": handlers}
    runtimes = _table(runtime, "runtimes")
    default = str(runtime.get("default_runtime") or "crun")
    return EngineConfig(
        kind=EngineName.CRIO,
        nri_is_enabled=bool(nri.get("enable_nri", release >= NRI_IS_ON_SINCE[EngineName.CRIO])),
        accepts_connections=not nri.get("nri_disable_connections", False),
        validator_is_enabled=bool(_table(nri, "default_validator").get("nri_enable_default_validator", False)),
        socket=Path(str(nri.get("nri_listen") or DEFAULT_SOCKET)),
        handlers={name: _path_of(runtimes, name, default) for name in runtimes},
    )


def _path_of(runtimes: Document, handler: str, default: str) -> str:
    inherits = _table(runtimes, handler).get("inherit_default_runtime")
    name = default if inherits else handler
    return str(_table(runtimes, name).get("runtime_path") or name)


# -- both --------------------------------------------------------------------------------------------------------------


def merge(base: Document, above: Document) -> dict[str, Any]:
    """Put one parsed configuration over another, table by table."""
    merged = dict(base)
    for key, value in above.items():
        below = merged.get(key)
        is_table = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge(below, value) if is_table else value  # type: ignore[arg-type]
    return merged


def _table(document: Any, *path: str) -> Document:
    """The table at a path; an empty one where there is none."""
    for key in path:
        document = document.get(key, {}) if isinstance(document, Mapping) else {}
    return document if isinstance(document, Mapping) else {}


def _texts(value: Any) -> Iterable[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
