"""What the operator sets: one frozen value, from options, environment and the configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from nri_netdev.domain import strictyaml
from nri_netdev.errors import ConfigurationError
from nri_netdev.logs import LEVELS
from nri_netdev.shells.address import Address

DEFAULT_PATH = Path("/etc/nri-netdev/config.yaml")


class Injection(StrEnum):
    """Who moves an interface into the pod."""

    AUTO = "auto"
    """The OCI runtime is asked; where it does not do it, nri-netdev does."""
    OCI = "oci"
    """The OCI runtime, or the container does not start."""
    NETLINK = "netlink"
    """nri-netdev, without asking the runtime."""


class OnMissed(StrEnum):
    """What becomes of a running container that should have interfaces and was created while no daemon looked."""

    REPORT = "report"
    """It is told in the log."""
    ATTACH = "attach"
    """It is given its interfaces now, while its process runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with its default."""

    socket: Path = Path("/var/run/nri/nri.sock")
    """The engine's NRI socket."""
    name: str = "nri-netdev"
    """Under which the engine knows this plugin: letters, digits, `_.+-`."""
    index: str = "10"
    """Two digits; plugins with a lower index are asked earlier."""
    state_dir: Path = Path("/var/lib/nri-netdev")
    """Where the ledger is; must outlive the daemon."""
    run_dir: Path = Path("/run/nri-netdev")
    """Where network namespaces are pinned; on a tmpfs of the host."""
    log_level: str = "info"
    """debug, info, warning or error."""
    injection: str = Injection.AUTO
    """auto, oci or netlink: see `Injection`."""
    on_missed: str = OnMissed.REPORT
    """report or attach: see `OnMissed`."""
    health: str = ""
    """Where gRPC probes are answered, `unix:///PATH` or `ADDRESS:PORT`; nowhere if empty."""
    metrics: str = ""
    """Where Prometheus scrapes, `ADDRESS:PORT`; nowhere if empty."""

    def __post_init__(self) -> None:
        problems = [
            problem
            for wrong, problem in (
                (
                    not re.fullmatch(r"[A-Za-z0-9_.+-]+", self.name),
                    f'name "{self.name}": only letters, digits and _.+-',
                ),
                (not re.fullmatch(r"[0-9]{2}", self.index), f'index "{self.index}": two digits, 00 to 99'),
                (self.log_level not in LEVELS, f'log_level "{self.log_level}": one of {", ".join(LEVELS)}'),
                (self.injection not in tuple(Injection), f'injection "{self.injection}": one of auto, oci, netlink'),
                (self.on_missed not in tuple(OnMissed), f'on_missed "{self.on_missed}": one of report, attach'),
                (not self.socket.is_absolute(), f'socket "{self.socket}": an absolute path'),
                (not self.state_dir.is_absolute(), f'state_dir "{self.state_dir}": an absolute path'),
                (not self.run_dir.is_absolute(), f'run_dir "{self.run_dir}": an absolute path'),
                *_wrong_addresses(health=self.health, metrics=self.metrics),
            )
            if wrong
        ]
        if problems:
            raise ConfigurationError("; ".join(problems))


def _wrong_addresses(**addresses: str) -> Iterator[tuple[bool, str]]:
    for name, text in addresses.items():
        try:
            address = Address.parse(text) if text else None
        except ValueError as error:
            yield True, f"{name} {error}"
        else:
            yield name == "metrics" and bool(address and address.path), f'{name} "{text}": ADDRESS:PORT'


def load(path: Path | None, **options: Any) -> Settings:
    """Read the configuration file and put the options over it.

    Args:
        path: the file; None for the default one, which may be absent.
        options: by field name; None for those not given.

    Raises:
        ConfigurationError: Every problem there is, in one text.
    """
    settings = _read(path or DEFAULT_PATH, may_be_absent=path is None)
    return replace(settings, **{name: value for name, value in options.items() if value is not None})


def _read(path: Path, *, may_be_absent: bool) -> Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if may_be_absent:
            return Settings()
        raise ConfigurationError(f"there is no configuration file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error}") from error
    try:
        return Settings(**_typed(strictyaml.mapping_of_texts(text)))
    except (strictyaml.YamlError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _typed(values: dict[str, str]) -> dict[str, Any]:
    types = {field.name: Path if field.type == "Path" else str for field in fields(Settings)}
    unknown = values.keys() - types.keys()
    if unknown:
        raise ConfigurationError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(types)}")
    return {name: types[name](value) for name, value in values.items()}
