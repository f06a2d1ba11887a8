"""Names by which ethtool sets what belongs to hardware, and the numbers that the kernel has for them. Tables only.

Names are those that `ethtool -G`, `-L`, `-C` and `-K` take; numbers those of `linux/ethtool_netlink.h`. The names of
features and of private flags are the kernel's and the driver's own: only these can tell whether one exists.
"""

from __future__ import annotations

from collections.abc import Mapping

RINGS: Mapping[str, int] = {"rx": 6, "rx-mini": 7, "rx-jumbo": 8, "tx": 9}
"""`ETHTOOL_A_RINGS_*`, by the names of `ethtool -G`. The maximum of each has its number less 4."""

CHANNELS: Mapping[str, int] = {"rx": 6, "tx": 7, "other": 8, "combined": 9}
"""`ETHTOOL_A_CHANNELS_*_COUNT`, by the names of `ethtool -L`. The maximum of each has its number less 4."""

COALESCE: Mapping[str, int] = {
    "rx-usecs": 2,
    "rx-frames": 3,
    "rx-usecs-irq": 4,
    "rx-frames-irq": 5,
    "tx-usecs": 6,
    "tx-frames": 7,
    "tx-usecs-irq": 8,
    "tx-frames-irq": 9,
    "stats-block-usecs": 10,
    "adaptive-rx": 11,
    "adaptive-tx": 12,
    "pkt-rate-low": 13,
    "rx-usecs-low": 14,
    "rx-frames-low": 15,
    "tx-usecs-low": 16,
    "tx-frames-low": 17,
    "pkt-rate-high": 18,
    "rx-usecs-high": 19,
    "rx-frames-high": 20,
    "tx-usecs-high": 21,
    "tx-frames-high": 22,
    "sample-interval": 23,
    "cqe-mode-tx": 24,
    "cqe-mode-rx": 25,
    "tx-aggr-max-bytes": 26,
    "tx-aggr-max-frames": 27,
    "tx-aggr-time-usecs": 28,
    "rx-cqe-frames": 31,
    "rx-cqe-nsecs": 32,
}
"""`ETHTOOL_A_COALESCE_*`, by the names of `ethtool -C`; switches are 0 or 1."""

_GROUPS: Mapping[tuple[str, str], str] = {
    ("rx", "rx-checksumming"): "rx-checksum",
    ("tx", "tx-checksumming"): "tx-checksum-*",
    ("sg", "scatter-gather"): "tx-scatter-gather*",
    ("tso", "tcp-segmentation-offload"): "tx-tcp*-segmentation",
    ("gso", "generic-segmentation-offload"): "tx-generic-segmentation",
    ("gro", "generic-receive-offload"): "rx-gro",
    ("lro", "large-receive-offload"): "rx-lro",
    ("rxvlan", "rx-vlan-offload"): "rx-vlan-hw-parse",
    ("txvlan", "tx-vlan-offload"): "tx-vlan-hw-insert",
    ("ntuple", "ntuple-filters"): "rx-ntuple-filter",
    ("rxhash", "receive-hashing"): "rx-hashing",
}

FEATURE_ALIASES: Mapping[str, str] = {alias: pattern for aliases, pattern in _GROUPS.items() for alias in aliases}
"""The features that a name of `ethtool -K` or `-k` stands for, as a pattern of the kernel's names (`fnmatch`)."""
