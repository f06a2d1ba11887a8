"""The annotation keys and the fields of the three grammars, as tables.

The native grammar is strict. The other two are those of the sample plugins of containerd/nri, `device-injector` and
`network-device-injector`, so that their users can switch without touching a pod: same keys in the same order, and
the decoder's habits (`sigs.k8s.io/yaml`, that is Go's `encoding/json`): field names in any case, unknown fields
ignored, and null or an empty text the same as no field at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from nri_netdev.domain.policy.selectors import FIELDS
from nri_netdev.domain.scope import Scope

ANNOTATION_PREFIX = "nri-netdev.io"
"""Of every native key, and a native key itself: the short spelling of `POD_KEY`."""
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
    """Whose words an annotation is written in."""

    NATIVE = "native"
    DEVICE_INJECTOR = "device-injector"
    NETWORK_DEVICE_INJECTOR = "network-device-injector"


class Use(Enum):
    """What a field is for."""

    INTERFACE = auto()
    """The interface on the host, by its name."""
    SELECT = auto()
    """What the interface must be: a field of `nri_netdev.domain.policy.selectors.FIELDS`."""
    POOL = auto()
    """The pool of the node's configuration that it is taken from."""
    COUNT = auto()
    """How many."""
    INSIDE = auto()
    """Its name in the container, or a pattern of names."""
    LATER = auto()
    """Known, and not yet supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the entries of one grammar are written."""

    fields: Mapping[str, Use]
    """By name as documented."""
    is_go: bool = False
    """Go's JSON rules (see the module's text) instead of ours: every field once, known, and of its type."""

    def field_named(self, key: str) -> str | None:
        """The documented spelling of the field that an entry's key means; None if there is no such field."""
        if not self.is_go:
            return key if key in self.fields else None
        return next((name for name in self.fields if name.lower() == key.lower()), None)

    def field_for(self, use: Use) -> str:
        """The field with that use, to name it in a message."""
        return next(name for name, its_use in self.fields.items() if its_use is use)


RULES: Mapping[Grammar, Rules] = {
    Grammar.NATIVE: Rules(
        fields={
            "interface": Use.INTERFACE,
            "name": Use.INSIDE,
            **{name: Use.SELECT for name in FIELDS if name != "interface"},
            "pool": Use.POOL,
            "count": Use.COUNT,
            "addresses": Use.LATER,
            "routes": Use.LATER,
            "mtu": Use.LATER,
        }
    ),
    Grammar.DEVICE_INJECTOR: Rules(fields={"hostIf": Use.INTERFACE, "name": Use.INSIDE}, is_go=True),
    Grammar.NETWORK_DEVICE_INJECTOR: Rules(
        fields={
            "name": Use.INTERFACE,
            "new_name": Use.INSIDE,
            "address": Use.LATER,
            "prefix": Use.LATER,
            "mtu": Use.LATER,
        },
        is_go=True,
    ),
}

TEXTS: Mapping[str, tuple[str, str]] = {
    "pool": ("take it from this pool of the node's configuration", "fast"),
    "count": ("how many: 1 to 64, 1 if absent; only with a pool, a pattern or other fields that can mean several", "2"),
    "name": (
        (
            "its name in the container, or a pattern: `{pool}` is the pool's name, `{n}` the lowest number from 0 that "
            "makes the name free; absent, it keeps the host's"
        ),
        "net{n}",
    ),
}
"""What the fields of the native grammar mean that are not in `nri_netdev.domain.policy.selectors.FIELDS`, with an
example."""

PEERS_WORDS = {"hostif": "interface", "new_name": "name", "newname": "name", "address": "addresses"}
"""Fields that switchers write in a native entry, and what they are called there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One annotation that speaks to a container."""

    key: str
    scope: Scope
    grammar: Grammar


def sources(annotations: Mapping[str, str], *, container: str) -> tuple[Source, ...]:
    """The annotations that speak to a container, natives first.

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
    """Every annotation that could speak to a container, in the order in which it is looked for."""
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
