"""NRI and OCI runtimes in an engine's configuration, read from its parsed TOML. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EngineName(StrEnum):
    """The engines that have NRI."""

    CONTAINERD = "containerd"
    CRIO = "CRI-O"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """An engine's settings of NRI and of OCI runtimes."""

    kind: EngineName
    nri_is_enabled: bool
    accepts_connections: bool
    """Whether NRI listens on a socket at all; otherwise only plugins that the engine launches connect."""
    validator_is_enabled: bool
    """Whether the engine's default validator refuses pods whose required plugin is not registered."""
    handlers: Mapping[str, str] = field(default_factory=dict)
    """Program of each runtime handler, by the handler's name; "" if the engine looks for it on its PATH."""


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

_RUNTIME_PLUGINS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")
_FIRST_WITH_NRI_ON = 3
"""containerd's configuration version whose default for NRI is on: that of containerd 2."""


def read(document: Mapping[str, Any]) -> EngineConfig | None:
    """Read a parsed configuration of containerd or of CRI-O; None if it is neither's."""
    if "crio" in document:
        return _crio(_table(document, "crio"))
    if "version" in document or "plugins" in document:
        return _containerd(document)
    return None


def merge(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Put one parsed configuration over another, table by table, as both engines do with their drop-in files."""
    merged = dict(base)
    for key, value in above.items():
        below = merged.get(key)
        is_table = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge(below, value) if is_table else value  # type: ignore[arg-type]
    return merged


def _containerd(document: Mapping[str, Any]) -> EngineConfig:
    nri = _table(document, "plugins", "io.containerd.nri.v1.nri")
    is_off = nri.get("disable", document.get("version", 2) < _FIRST_WITH_NRI_ON)
    handlers: dict[str, str] = {}
    for plugin in _RUNTIME_PLUGINS:
        for name, runtime in _table(document, "plugins", plugin, "containerd", "runtimes").items():
            handlers[name] = str(_table(runtime, "options").get("BinaryName", ""))
    return EngineConfig(
        kind=EngineName.CONTAINERD,
        nri_is_enabled=not is_off,
        accepts_connections=not nri.get("disable_connections", False),
        validator_is_enabled=bool(_table(nri, "default_validator").get("enable", False)),
        handlers=handlers or {"runc": ""},
    )


def _crio(crio: Mapping[str, Any]) -> EngineConfig:
    nri = _table(crio, "nri")
    runtimes = _table(crio, "runtime", "runtimes")
    return EngineConfig(
        kind=EngineName.CRIO,
        nri_is_enabled=bool(nri.get("enable_nri", True)),
        accepts_connections=not nri.get("nri_disable_connections", False),
        validator_is_enabled=bool(_table(nri, "default_validator").get("nri_enable_default_validator", False)),
        handlers={name: str(runtime.get("runtime_path", "")) for name, runtime in runtimes.items()} or {"crun": ""},
    )


def _table(document: Any, *path: str) -> Mapping[str, Any]:
    """The table at a path; an empty one where there is none."""
    for key in path:
        document = document.get(key, {}) if isinstance(document, Mapping) else {}
    return document if isinstance(document, Mapping) else {}
