"""The operator's settings: one frozen value, from options, the engine, and the configuration file.

One definition, the fields of `Settings` and the shapes of `nri_netdev.domain.policy.file`, reads the file, checks the
options, and gives the JSON schema in docs/config.schema.json. Options win over the text that the engine passes to a
plugin that it launches or configures, and that text wins over the file, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from nri_netdev.domain.address import ListenAddress
from nri_netdev.domain.policy.file import HANDLERS, IPAM_PROFILES, POOLS, PROTECTED, RULES, check_pools, numbered
from nri_netdev.domain.policy.handlers import UNSHARED, Handlers
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import escape, quote
from nri_netdev.domain.text.shape import Flaw, Member, Reader, Record, Text, like, unobjected, words
from nri_netdev.domain.text.yaml_nodes import Limits
from nri_netdev.errors import ConfigurationError
from nri_netdev.log import FORMATS, LEVELS
from nri_netdev.wire import identity

LIMITS = Limits(size_bytes=1024 * 1024, depth=12, nodes=65536, anchors=True)
"""Bounds of a configuration file: as much as a ConfigMap holds."""

T = TypeVar("T")


class Injection(StrEnum):
    """Who moves an interface into the pod."""

    AUTO = "auto"
    """The OCI runtime is asked; where it does not do it, nri-netdev does."""
    OCI = "oci"
    """The OCI runtime, or the container does not start."""
    NETLINK = "netlink"
    """nri-netdev, without asking the runtime."""


class Metadata(StrEnum):
    """Which containers are told what they got."""

    MAPPINGS = "mappings"
    OFF = "off"


class OnMissed(StrEnum):
    """What becomes of a running container that should have interfaces and was created while no daemon looked."""

    REPORT = "report"
    """It is logged."""
    ATTACH = "attach"
    """It is given its interfaces now, while its process runs."""


def _setting(default: T, text: str, shape: Text[Any], *, at_start: bool = False) -> T:
    """A field of `Settings`: default, meaning, how it is written, and whether a change needs a restart."""
    return field(default=default, metadata={"text": text, "shape": shape, "at_start": at_start})


def _absolute(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError("is not an absolute path")
    return Path(text)


def _where(meaning: str, *, may_be_path: bool = False, most: int = 1) -> Text[Any]:
    def parse(text: str) -> str:
        try:
            found = ListenAddress.parse_all(text)
            is_wrong = len(found) > most or (not may_be_path and any(address.path is not None for address in found))
        except ValueError:
            is_wrong = True
        if is_wrong:
            raise ValueError(f"is not {meaning}")
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
        unobjected(identity.why_invalid_name, pattern=f"^{identity.NAME}$"),
        at_start=True,
    )
    index: str = _setting(
        "10",
        "two digits; plugins with a lower index are asked earlier",
        unobjected(identity.why_invalid_index, pattern=f"^{identity.INDEX}$"),
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
    metadata: str = _setting(
        Metadata.MAPPINGS,
        "which containers are told what they got, by environment variables and a directory that is mounted: "
        "`mappings`, those with an entry that is more than a name; `off`, none",
        words(*Metadata),
        at_start=True,
    )
    cni_path: str = _setting(
        "/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni",
        "directories of CNI IPAM plugins, for `ipam`; separated by colons",
        like(r"/[^:]*(:/[^:]*)*", "a list of absolute paths, separated by colons"),
        at_start=True,
    )
    health: str = _setting(
        "",
        "where gRPC probes are answered: `unix:///PATH`, `ADDRESS:PORT`, or both with a comma; nowhere if empty",
        _where("unix:///PATH or ADDRESS:PORT", may_be_path=True, most=2),
        at_start=True,
    )
    metrics: str = _setting(
        "",
        "where Prometheus scrapes, `ADDRESS:PORT`; nowhere if empty",
        _where("ADDRESS:PORT"),
        at_start=True,
    )
    events: str = _setting(
        "",
        "the socket, `unix:///PATH`, at which `nri-netdev events` hears what to tell pods; nowhere if empty",
        like("(unix:///.+)?", "unix:///PATH"),
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
        "unshared_handlers": Member(
            shape=HANDLERS,
            text="runtime handlers that run containers as guests, in a virtual machine or on a kernel of their own, "
            "and so are given nothing; `*` stands for any characters, `?` for one",
            default=UNSHARED,
        ),
        "shared_handlers": Member(
            shape=HANDLERS,
            text="runtime handlers whose containers do see what comes into the pod's netns, though "
            "`unshared_handlers` or their processes tell otherwise",
        ),
        "protected": Member(shape=PROTECTED, text="selectors of what is a lifeline of the node beside what is found"),
        "pools": Member(shape=POOLS, text="names for sets of interfaces: selectors by name"),
        "ipam": Member(
            shape=IPAM_PROFILES,
            text="names for what CNI IPAM plugins are told: the `ipam` object of a network configuration by name",
        ),
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
        The settings that are given, by field of `Settings` or key of its policy, none where there is a problem; and
        every problem, `SOURCE:LINE: rules.2.count …`, in the order of the lines.
    """
    try:
        node = yaml_nodes.load(text, limits=LIMITS)
    except yaml_nodes.YamlError as error:
        line = f"{error.line}:" if error.line else ""
        return {}, (f"{source}:{line} the configuration {error.reason}",)
    if node is None or (isinstance(node, yaml_nodes.YamlScalar) and node.is_null):
        return {}, ()
    reader = Reader()
    values = CONFIGURATION.read(node, (), reader)
    pools = node.get("pools") if isinstance(node, yaml_nodes.YamlMapping) else None
    check_pools(reader, [key.text for key, _ in pools.pairs] if isinstance(pools, yaml_nodes.YamlMapping) else [])
    flaws = sorted(reader.flaws, key=lambda flaw: (flaw.node.line, flaw.path))
    return {} if flaws or values is None else values, tuple(_problem(flaw, source) for flaw in flaws)


def _problem(flaw: Flaw, source: str) -> str:
    path = ".".join(map(escape, flaw.path)) or "the configuration"
    return f"{source}:{flaw.node.line}: {path} {flaw.message}"


def settings_of(values: Mapping[str, Any], **options: Any) -> Settings:
    """Settings from the values that were read, with the options over them.

    Raises:
        ConfigurationError: An option is wrong.
    """
    given = {name: value for name, value in values.items() if name in _SHAPES}
    given |= {name: value for name, value in options.items() if value is not None}
    policy = Policy(
        rules=numbered(values.get("rules", ())),
        pools=values.get("pools", {}),
        protected=values.get("protected", ()),
        ipam=values.get("ipam", {}),
        handlers=Handlers(unshared=values.get("unshared_handlers", UNSHARED), shared=values.get("shared_handlers", ())),
    )
    return Settings(policy=policy, **given)
