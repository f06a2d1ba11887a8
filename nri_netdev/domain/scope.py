"""Scope: whose end brings an interface home."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """Whose life an interface's stay is bound to."""

    CONTAINER = "container"
    POD = "pod"
