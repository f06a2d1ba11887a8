"""The annotation keys and the fields of the three grammars, as tables.

The native grammar is strict. The other two are those of the sample plugins of containerd/nri, `device-injector` and
`network-device-injector`, so that their users can switch without touching a pod: same keys in the same order, and
the decoder's habits (`sigs.k8s.io/yaml`, that is Go's `encoding/json`): field names in any case, unknown fields
ignored, and null or an empty text the same as no field at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.selectors import FIELDS, IFNAMES
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.check import unfit
from nri_netdev.domain.setup.fields import FIELDS as SETUP_FIELDS
from nri_netdev.domain.setup.fields import flaws_of, setup_of
from nri_netdev.domain.setup.texts import HOST
from nri_netdev.domain.setup.values import Setup
from nri_netdev.domain.text.names import why_invalid, why_invalid_pattern
from nri_netdev.domain.text.shape import ListOf, Member, Record, Shape, Text, TextOr, Unfit, unobjected, whole_number

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


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarSpec:
    """How the entries of one grammar are written.

    An entry is read into a dict. Its keys are the same for each grammar: `interface`, `name`, `pool`, `count`, the
    fields of `nri_netdev.domain.policy.selectors.FIELDS` and those of `nri_netdev.domain.setup.fields.FIELDS`; but for
    what a peer sets, see `setup_of_peer`.
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


def setup_in(given: Mapping[str, Any]) -> Setup:
    """What an entry of the native grammar asks to be set."""
    return setup_of({name: given[name] for name in SETUP_FIELDS if name in given})


def setup_of_peer(given: Mapping[str, Any]) -> str:
    """What an entry of another plugin asks to be set, as a document of native fields; "" for nothing."""
    found: dict[str, Any] = {}
    if address := given.get("address"):
        found["addresses"] = [f"{address}/{given.get('prefix') or (128 if ':' in address else 32)}"]
    if mtu := given.get("mtu"):
        found["mtu"] = mtu
    return json.dumps(found) if found else ""


def _unfit_peer(given: Mapping[str, Any]) -> Iterator[Unfit]:
    """What of an entry of another plugin no interface can have, by the plugin's own fields."""
    for flaw in flaws_of(setup_of_peer(given)):
        yield ("address" if flaw.path[0] == "addresses" else flaw.path[0],), flaw.message


def _peers(**members: Member) -> GrammarSpec:
    record: Record[dict[str, Any]] = Record(
        members=members, build=dict, most=_MAX_FIELDS, is_go=True, unfit=_unfit_peer
    )
    return GrammarSpec(record=record)


GRAMMARS: Mapping[Grammar, GrammarSpec] = {
    Grammar.NATIVE: GrammarSpec(
        short=Text(parse=lambda text: {"interface": IFNAMES.parse(text)}, json=IFNAMES.json),
        record=Record(
            build=dict,
            most=2 * _MAX_FIELDS,
            unfit=lambda given: unfit(setup_in(given)),
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
                **SETUP_FIELDS,
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
        address=Member(shape=HOST, text="`addresses`, with `prefix`"),
        prefix=Member(shape=whole_number(0, 128), text="the prefix length of `addresses`; 0 for that of one host"),
        mtu=Member(shape=whole_number(0, 65535), text="`mtu`; 0 to leave it"),
    ),
}
"""What an entry may hold in each grammar. A native field's text is what it means, a peer's the native field."""


def schema() -> dict[str, Any]:
    """The JSON schema of the value of a native annotation."""
    entries = ListOf(item=GRAMMARS[Grammar.NATIVE].entry, most=MAX_INTERFACES)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Value of an annotation of nri-netdev",
        **entries.schema(),
    }


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
