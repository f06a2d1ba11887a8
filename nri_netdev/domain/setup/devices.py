"""Devices beside an interface that its container needs, such as those of RDMA. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CharDevice:
    """A character device of the host, as an engine is asked to make it in a container."""

    path: str
    """Where the kernel has it: `/dev/infiniband/uverbs0`."""
    major: int
    minor: int
