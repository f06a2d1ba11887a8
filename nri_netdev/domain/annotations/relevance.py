"""Which annotations concern us: four questions, cheapest first. Nearly every pod of a node is passed over by the first.

- `may_mention`: of the bytes of an event or of a pod that Synchronize lists, before anything is decoded.
- `mentions`: of the annotations of a decoded pod, before they are parsed.
- `concerning`: of a pod that asks, to parse, and to remember by, only the annotations for us.
- `names_container`: of a pod that asks, to know whether the container's name decides what it gets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nri_netdev.domain.annotations.grammars import CONTAINER_PREFIXES

_STARTS = ("nri-netdev.io", "network-devices.n", "netdevice")
"""What the keys that concern us begin with: few, since every annotation of every pod is held against them."""
_ENCODED_STARTS = re.compile(b"|".join(re.escape(start.encode()) for start in _STARTS))


def mentions(annotations: Mapping[str, str]) -> bool:
    """Whether any annotation could concern us; if not, `parse` would find nothing.

    On the path of every container of the node: a microsecond for ten annotations.
    """
    for key in annotations:  # noqa: SIM110  any() with a generator takes twice as long
        if key.startswith(_STARTS):
            return True
    return False


def may_mention(encoded: bytes | memoryview) -> bool:
    """Whether a message may hold an annotation that `mentions` would see; if not, it need not be decoded.

    Protobuf keeps the bytes of a string together, as they are.
    """
    return _ENCODED_STARTS.search(encoded) is not None


def concerning(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that could concern us: `parse` looks at no others."""
    return {key: value for key, value in annotations.items() if key.startswith(_STARTS)}


def names_container(annotations: Mapping[str, str]) -> str | None:
    """The first key that asks for one container by its name; None if there is none."""
    return next((key for key in sorted(annotations) if key.startswith(CONTAINER_PREFIXES)), None)
