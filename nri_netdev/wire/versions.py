"""Which release of NRI an engine speaks, by the names and versions in its Configure.

Sources: containerd/nri pkg/api/version.go, and the go.mod of each release of containerd and CRI-O.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

Release = tuple[int, int]
"""A release of NRI, as in (0, 12)."""

FIRST_WITH_VERSION: Final[Release] = (0, 12)
"""The first release whose engines send their NRI version."""
FIRST_WITH_NET_DEVICES: Final[Release] = (0, 11)
"""The first release that knows `net_devices`; older ones drop it silently."""
FIRST_WITH_VALIDATION: Final[Release] = (0, 10)
"""The first release with the events UpdatePodSandbox, PostUpdatePodSandbox and
ValidateContainerAdjustment."""

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(-(?:alpha|beta|rc))?", re.ASCII)

_ENGINES: Final = MappingProxyType[str, tuple[tuple[tuple[int, int, int], Release], ...]](
    {
        "containerd": (
            ((2, 3, 0), (0, 12)),
            ((2, 2, 1), (0, 11)),
            ((2, 2, 0), (0, 10)),
            ((1, 7, 26), (0, 8)),
            ((1, 7, 0), (0, 3)),
        ),
        "cri-o": (
            ((1, 37, 0), (0, 12)),
            ((1, 35, 0), (0, 11)),
            ((1, 34, 0), (0, 10)),
            ((1, 32, 0), (0, 9)),
            ((1, 30, 0), (0, 6)),
            ((1, 26, 0), (0, 2)),
        ),
    }
)
"""The first version of an engine with each release of NRI, newest first."""


def nri_release(*, nri_version: str, runtime_name: str, runtime_version: str) -> Release | None:
    """The release of NRI that an engine speaks, or None if it cannot be known.

    Never a newer one: an unclear version counts as the older, since a subscription to an event that the engine does not
    know ends the connection.

    Args:
        nri_version: as in Configure since NRI 0.12, such as "v0.12.0" or "(devel)"; else "".
        runtime_name: "containerd" or "cri-o".
        runtime_version: such as "v2.3.4", "2.2.1-0ubuntu1", "1.36.3".
    """
    if nri_version:
        known = _VERSION.match(nri_version)
        return (int(known[1]), int(known[2])) if known else FIRST_WITH_VERSION
    version = _VERSION.match(runtime_version)
    if version is None:
        return None
    number = (int(version[1]), int(version[2]), int(version[3] or 0))
    for first, release in _ENGINES.get(runtime_name, ()):
        # A pre-release of the very version that brought a change may lack it.
        if number > first or (number == first and not version[4]):
            return release
    return None


def first_version(runtime_name: str, release: Release) -> str:
    """The first version of an engine that speaks a release of NRI, or the last release before it that it ever spoke.

    Spelt as the engine does; "" if no such version is known.
    """
    for number, has in _ENGINES.get(runtime_name, ()):
        if has <= release:
            return ("v" if runtime_name == "containerd" else "") + ".".join(map(str, number))
    return ""
