"""What the operator sets: one frozen value, from options, the engine, and the configuration file.

One definition, the fields of `Settings` and the shapes of `nri_netdev.domain.policy.file`, reads the file, checks the
options, and is the JSON schema in docs/config.schema.json. Options win over what the engine passes to a plugin that it
launches or configures, and that wins over the file, key by key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from nri_netdev.domain.address import Address
from nri_netdev.domain.policy.file import POOLS, PROTECTED, RULES, check_pools, numbered
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.text.shape import Member, Reader, Record, Text, Wrong, words
from nri_netdev.domain.text.yaml_nodes import Limits
from nri_netdev.errors import ConfigurationError
from nri_netdev.log import FORMATS, LEVELS

DEFAULT_PATH = Path("/etc/nri-netdev/config.yaml")
LIMITS = Limits(size_bytes=1024 * 1024, depth=12, nodes=65536, anchors=True)
"""What a file may cost: as much as a ConfigMap holds."""

T = TypeVar("T")


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


def _setting(default: T, text: str, shape: Text[Any], *, at_start: bool = False) -> T:
    """A field of `Settings`: default, meaning, how it is written, and whether a change needs a restart."""
    return field(default=default, metadata={"text": text, "shape": shape, "at_start": at_start})


def _like(pattern: str, told: str) -> Text[str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"is not {told}")
        return text

    return Text(parse=parse, json={"type": "string", "pattern": f"^{pattern}$"})


def _absolute(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError("is not an absolute path")
    return Path(text)


def _where(told: str, *, may_be_path: bool) -> Text[Any]:
    def parse(text: str) -> str:
        try:
            is_wrong = bool(text) and Address.parse(text).path is not None and not may_be_path
        except ValueError:
            is_wrong = True
        if is_wrong:
            raise ValueError(f"is not {told}")
        return text

    return Text(parse=parse)


_PATH: Text[Any] = Text(parse=_absolute, json={"type": "string", "pattern": "^/"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with its default."""

    socket: Path = _setting(  # noqa: RUF009 - makes a field
        Path("/var/run/nri/nri.sock"), "the engine's NRI socket", _PATH, at_start=True
    )
    name: str = _setting(
        "nri-netdev",
        "under which the engine knows this plugin",
        _like(r"[A-Za-z0-9_.+-]+", "made of letters, digits and _.+-"),
        at_start=True,
    )
    index: str = _setting(
        "10",
        "two digits; plugins with a lower index are asked earlier",
        _like(r"[0-9]{2}", "two digits, 00 to 99"),
        at_start=True,
    )
    state_dir: Path = _setting(  # noqa: RUF009 - makes a field
        Path("/var/lib/nri-netdev"), "where the ledger is; must outlive the daemon", _PATH, at_start=True
    )
    run_dir: Path = _setting(  # noqa: RUF009 - makes a field
        Path("/run/nri-netdev"), "where network namespaces are pinned; on a tmpfs of the host", _PATH, at_start=True
    )
    log_level: str = _setting("info", "debug, info, warning or error", words(*LEVELS))
    log_format: str = _setting(
        "text", "how a line of the log is written: `text`, key=value, or `json`", words(*FORMATS), at_start=True
    )
    injection: str = _setting(
        Injection.AUTO,
        "who moves interfaces into pods: `auto`, the OCI runtime and where it does not nri-netdev; `oci`, the OCI "
        "runtime, or the container does not start; `netlink`, nri-netdev without asking the runtime",
        words(*Injection),
    )
    on_missed: str = _setting(
        OnMissed.REPORT,
        "what becomes of a running container that should have interfaces and was created while no daemon looked: "
        "`report`, it is told in the log; `attach`, it is given its interfaces now, while its process runs",
        words(*OnMissed),
    )
    health: str = _setting(
        "",
        "where gRPC probes are answered, `unix:///PATH` or `ADDRESS:PORT`; nowhere if empty",
        _where("unix:///PATH or ADDRESS:PORT", may_be_path=True),
        at_start=True,
    )
    metrics: str = _setting(
        "",
        "where Prometheus scrapes, `ADDRESS:PORT`; nowhere if empty",
        _where("ADDRESS:PORT", may_be_path=False),
        at_start=True,
    )
    policy: Policy = field(default_factory=Policy)
    """Who may take what."""

    def __post_init__(self) -> None:
        wrongs: list[str] = []
        for name, shape in _SHAPES.items():
            text = str(getattr(self, name))
            try:
                shape.parse(text)
            except ValueError as error:
                wrongs.append(f"{name} {quote(text)} {error}")
        if wrongs:
            raise ConfigurationError("; ".join(wrongs))


_SHAPES: dict[str, Text[Any]] = {one.name: one.metadata["shape"] for one in fields(Settings) if "shape" in one.metadata}
"""How each field of `Settings` but the policy is written."""
AT_START = tuple(one.name for one in fields(Settings) if one.metadata.get("at_start"))
"""What a running daemon cannot change."""

CONFIGURATION: Record[dict[str, Any]] = Record(
    build=dict,
    members={
        **{
            one.name: Member(shape=_SHAPES[one.name], text=one.metadata["text"], default=str(one.default) or None)
            for one in fields(Settings)
            if one.name in _SHAPES
        },
        "protected": Member(shape=PROTECTED, text="selectors of what is a lifeline of the node beside what is found"),
        "pools": Member(shape=POOLS, text="names for sets of interfaces: selectors by name"),
        "rules": Member(
            shape=RULES, text="who may take what: the first rule that speaks of pod and interface decides, none refuses"
        ),
    },
)
"""The configuration file."""


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of nri-netdev",
        **CONFIGURATION.schema(),
    }


def read(text: str, *, source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the text of a configuration.

    Args:
        text: YAML.
        source: what it is called, for messages.

    Returns:
        The settings that are given, by field of `Settings` or key of its policy, and every problem there is, each
        `SOURCE:LINE: rules.2.count …`; no settings where there are problems.
    """
    reader = Reader()
    values: dict[str, Any] | None = {}
    try:
        node = yaml_nodes.load(text, limits=LIMITS)
    except yaml_nodes.YamlError as error:
        reader.wrongs.append(Wrong(message=error.reason, line=error.line))
        node = None
    if node is not None and not (isinstance(node, yaml_nodes.Scalar) and node.is_null):
        values = CONFIGURATION.read(node, (), reader)
        check_pools(reader, _keys(node, "pools"))
    problems = sorted(reader.wrongs, key=lambda wrong: (wrong.line or 0, wrong.path))
    told = tuple(f"{source}:{wrong}" if wrong.line else f"{source}: {wrong}" for wrong in problems)
    return ({}, told) if told else (values or {}, ())


def _keys(node: yaml_nodes.Node, name: str) -> frozenset[str]:
    """The keys of a mapping in the document, right or wrong."""
    child = node.get(name) if isinstance(node, yaml_nodes.Mapping) else None
    return frozenset(key.text for key, _ in child.pairs) if isinstance(child, yaml_nodes.Mapping) else frozenset()


def settings_of(values: Mapping[str, Any], **options: Any) -> Settings:
    """Settings of what was read, and options over it.

    Raises:
        ConfigurationError: An option is wrong.
    """
    given = {name: value for name, value in values.items() if name in _SHAPES}
    given |= {name: value for name, value in options.items() if value is not None}
    policy = Policy(
        rules=numbered(values.get("rules", ())),
        pools=values.get("pools", {}),
        protected=values.get("protected", ()),
    )
    return Settings(policy=policy, **given)


def load(path: Path | None, text_from_engine: str = "", /, **options: Any) -> Settings:
    """Read the configuration file, put what the engine passes over it, and the options over both.

    Args:
        path: the file; None for the default one, which may be absent.
        text_from_engine: what Configure brings; it may set what can be changed while the daemon runs.
        options: by field name; None for those not given.

    Raises:
        ConfigurationError: Every problem there is, one a line.
    """
    return Watched(path, **options).load(text_from_engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What came of looking at the configuration again."""

    settings: Settings
    """Those in force now."""
    problems: tuple[str, ...] = ()
    """Why the new ones are not in force; told once for each new text."""
    needs_restart: tuple[str, ...] = ()
    """What is written otherwise and comes into force with the next start only."""


class Watched:
    """A configuration that is read again when it changes; what is wrong never comes into force.

    The text is compared, not a time or an inode: a ConfigMap is swapped by a symbolic link above the file.

    Args:
        path: the file; None for the default one, which may be absent.
        options: by field name, over all else; None for those not given.
    """

    def __init__(self, path: Path | None, **options: Any) -> None:
        self._path = path or DEFAULT_PATH
        self._may_be_absent = path is None
        self._options = options
        self._from_engine = ""
        self._seen: tuple[str, str] | None = None
        self._settings = Settings()

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    def load(self, text_from_engine: str = "") -> Settings:
        """Read it for the first time.

        Raises:
            ConfigurationError: Every problem there is, one a line.
        """
        self._from_engine = text_from_engine
        self._seen = (self._text(), text_from_engine)
        settings, problems = self._read(*self._seen)
        if problems:
            raise ConfigurationError("\n".join(problems))
        self._settings = settings
        return settings

    def configure(self, text_from_engine: str) -> Reload | None:
        """Take what an engine passes in Configure; see `reload`."""
        self._from_engine = text_from_engine
        return self.reload()

    def reload(self) -> Reload | None:
        """Look at the file again.

        Returns:
            What came of it; None if nothing has changed since the last look.
        """
        try:
            seen = (self._text(), self._from_engine)
        except ConfigurationError as error:
            if self._seen == (str(error), self._from_engine):
                return None
            self._seen = (str(error), self._from_engine)
            return Reload(settings=self._settings, problems=(str(error),))
        if seen == self._seen:
            return None
        self._seen = seen
        settings, problems = self._read(*seen)
        if problems:
            return Reload(settings=self._settings, problems=problems)
        before = self._settings
        changed = tuple(name for name in AT_START if getattr(settings, name) != getattr(before, name))
        self._settings = replace(settings, **{name: getattr(before, name) for name in AT_START})
        return Reload(settings=self._settings, needs_restart=changed)

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            if self._may_be_absent:
                return ""
            raise ConfigurationError(f"there is no configuration file {self._path}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the configuration file {self._path}: {error}") from error

    def _read(self, text: str, from_engine: str) -> tuple[Settings, tuple[str, ...]]:
        values, problems = read(text, source=str(self._path))
        others, more = read(from_engine, source="configuration from the engine")
        late = [name for name in AT_START if name in others]
        more += tuple(f"configuration from the engine: {name} cannot be set there, but in a file" for name in late)
        if problems or more:
            return self._settings, (*problems, *more)
        try:
            return settings_of({**values, **others}, **self._options), ()
        except ConfigurationError as error:
            return self._settings, (str(error),)
