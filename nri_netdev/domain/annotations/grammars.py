"""The annotation keys and the fields of the three grammars, as tables.

The native grammar is strict. The other two are those of the sample plugins of containerd/nri, `device-injector` and
`network-device-injector`, so that their users can switch without touching a pod: same keys in the same order, and
the decoder's habits (`sigs.k8s.io/yaml`, that is Go's `encoding/json`): field names in any case, unknown fields
ignored, and null or an empty text the same as no field at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.selectors import FIELDS, IFNAMES
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text.names import why_invalid, why_invalid_pattern
from nri_netdev.domain.text.shape import FlawKind, Member, Reader, Record, Shape, Text, TextOr, unobjected, whole_number
from nri_netdev.domain.text.yaml_nodes import Node, YamlScalar

ANNOTATION_PREFIX = "nri-netdev.io"
"""Prefix of every native key, and a native key itself: the short spelling of `POD_KEY`."""
POD_KEY = f"{ANNOTATION_PREFIX}/pod"
"""Interfaces for the pod, held until it ends."""
CONTAINER_KEY_PREFIX = f"{ANNOTATION_PREFIX}/container."
"""Followed by the container's name: interfaces for that container, held until it ends."""

DEVICE_INJECTOR_PREFIXES = ("network-devices.noderesource.dev", "network-devices.nri.io")
NETWORK_DEVICE_INJECTOR_PREFIXES = (
    "netdevice.noderesource.dev",
    "netdevices.noderesource.dev",
    "netdevices.nri.containerd.io",
)
"""The second is the spelling of that plugin's README, which its own code does not read."""

CONTAINER_PREFIXES = (CONTAINER_KEY_PREFIX, *(f"{prefix}/container." for prefix in DEVICE_INJECTOR_PREFIXES))
"""What begins the keys that name a container."""

ALL_PREFIXES = (ANNOTATION_PREFIX, *DEVICE_INJECTOR_PREFIXES, *NETWORK_DEVICE_INJECTOR_PREFIXES)


class Grammar(StrEnum):
    """The plugin whose annotations are written so."""

    NATIVE = "native"
    DEVICE_INJECTOR = "device-injector"
    NETWORK_DEVICE_INJECTOR = "network-device-injector"


@dataclass(frozen=True, slots=True)
class _Unsupported:
    """A field that is known, and refused whatever it holds."""

    is_go_number: bool = False
    """Zero is the same as no field, as to Go's decoder where a number is wanted."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> None:
        if not (self.is_go_number and isinstance(node, YamlScalar) and node.as_int() == 0):
            reader.flaw(FlawKind.UNSUPPORTED, node, path, "is not yet supported")

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarSpec:
    """How the entries of one grammar are written.

    An entry is read into a dict. Its keys are the same for each grammar: `interface`, `name`, `pool`, `count` and the
    fields of `nri_netdev.domain.policy.selectors.FIELDS`.
    """

    record: Record[dict[str, Any]]
    short: Text[dict[str, Any]] | None = None
    """A text in place of the mapping."""

    @property
    def entry(self) -> Shape[dict[str, Any]]:
        """What an entry must be."""
        if self.short is None:
            return self.record
        return TextOr(text=self.short, record=self.record)

    @property
    def forms(self) -> str:
        """What an entry must be, for a message."""
        return "a mapping" if self.short is None else "the name of an interface or a mapping"

    @property
    def is_go(self) -> bool:
        """Whether entries are read as Go's decoder reads them; a name is never a pattern then."""
        return self.record.is_go

    @property
    def interface_field(self) -> str:
        """The field that names the interface."""
        return next(key for key, member in self.record.members.items() if (member.argument or key) == "interface")


_MAX_FIELDS = 32
"""Of an entry: enough for what Go ignores, and few enough to report each."""
_NAME = unobjected(why_invalid)
_LATER = Member(shape=_Unsupported(), text="known, and refused as not yet supported")
_PEERS_LATER = Member(shape=_Unsupported(is_go_number=True), text="refused as not yet supported")


def _peers(**members: Member) -> GrammarSpec:
    return GrammarSpec(record=Record(members=members, build=dict, most=_MAX_FIELDS, is_go=True))


GRAMMARS: Mapping[Grammar, GrammarSpec] = {
    Grammar.NATIVE: GrammarSpec(
        short=Text(parse=lambda text: {"interface": IFNAMES.parse(text)}),
        record=Record(
            build=dict,
            most=_MAX_FIELDS,
            members={
                "interface": replace(FIELDS["interface"], slips=("hostif",)),
                "name": Member(
                    shape=unobjected(why_invalid_pattern),
                    text=(
                        "its name in the container, or a pattern: `{pool}` is the pool's name, `{n}` the lowest number "
                        "from 0 that makes the name free; absent, it keeps the host's"
                    ),
                    example="net{n}",
                    slips=("new_name", "newname"),
                ),
                **{name: member for name, member in FIELDS.items() if name != "interface"},
                "pool": Member(shape=_NAME, text="take it from this pool of the node's configuration", example="fast"),
                "count": Member(
                    shape=whole_number(1, MAX_INTERFACES),
                    text=(
                        "how many: 1 to 64, 1 if absent; only with a pool, a pattern or other fields that can mean "
                        "several"
                    ),
                    example="2",
                ),
                "addresses": replace(_LATER, slips=("address",)),
                "routes": _LATER,
                "mtu": _LATER,
            },
        ),
    ),
    Grammar.DEVICE_INJECTOR: _peers(
        hostIf=Member(shape=_NAME, text="`interface`", argument="interface"),
        name=Member(shape=_NAME, text="`name`"),
    ),
    Grammar.NETWORK_DEVICE_INJECTOR: _peers(
        name=Member(shape=_NAME, text="`interface`", argument="interface"),
        new_name=Member(shape=_NAME, text="`name`", argument="name"),
        address=_PEERS_LATER,
        prefix=_PEERS_LATER,
        mtu=_PEERS_LATER,
    ),
}
"""What an entry may hold in each grammar. A native field's text is what it means, a peer's the native field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One annotation that asks for a container."""

    key: str
    scope: Scope
    grammar: Grammar


def sources(annotations: Mapping[str, str], *, container: str) -> tuple[Source, ...]:
    """The annotations that ask for a container, natives first.

    Of a peer's keys only the first in its own order counts, as there. Of the native ones all count, so both spellings
    of the pod's can be among them.

    Args:
        annotations: the pod's.
        container: its name in the pod; "" where the engine does not know it, then no `container.` key is its own.
    """
    found = [source for source in _native(container) if source.key in annotations]
    for candidates in (_device_injector(container), _network_device_injector()):
        found.extend([source for source in candidates if source.key in annotations][:1])
    return tuple(found)


def candidates(*, container: str) -> tuple[Source, ...]:
    """Every annotation that can ask for a container, in the order of search."""
    return (*_native(container), *_device_injector(container), *_network_device_injector())


def _native(container: str) -> tuple[Source, ...]:
    own = Source(key=f"{CONTAINER_KEY_PREFIX}{container}", scope=Scope.CONTAINER, grammar=Grammar.NATIVE)
    pods = (Source(key=key, scope=Scope.POD, grammar=Grammar.NATIVE) for key in (POD_KEY, ANNOTATION_PREFIX))
    return (*((own,) if container else ()), *pods)


def _device_injector(container: str) -> tuple[Source, ...]:
    tails = {f"/container.{container}": Scope.CONTAINER} if container else {}
    tails |= {"/pod": Scope.POD, "": Scope.POD}
    return tuple(
        Source(key=prefix + tail, scope=scope, grammar=Grammar.DEVICE_INJECTOR)
        for tail, scope in tails.items()
        for prefix in DEVICE_INJECTOR_PREFIXES
    )


def _network_device_injector() -> tuple[Source, ...]:
    return tuple(
        Source(key=prefix + tail, scope=Scope.POD, grammar=Grammar.NETWORK_DEVICE_INJECTOR)
        for tail in ("/pod", "")
        for prefix in NETWORK_DEVICE_INJECTOR_PREFIXES
    )
