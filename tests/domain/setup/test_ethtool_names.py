"""The names that ethtool takes, against the numbers of the kernel's headers."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from nri_netdev.domain.setup.ethtool_names import CHANNELS, COALESCE, FEATURE_ALIASES, RINGS

HEADERS = ("ethtool_netlink_generated.h", "ethtool_netlink.h")
"""In newer kernels the first has the attributes, in older ones the second."""


def attributes_of(prefix: str) -> dict[str, int]:
    """The members of the `enum` of the kernel's headers that has a prefix, by name without it; none if there is none."""
    for header in HEADERS:
        path = Path("/usr/include/linux") / header
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL) if path.exists() else ""
        found = re.search(rf"enum \{{\s*{prefix}_UNSPEC,(.*?)__{prefix}_CNT", text, flags=re.DOTALL)
        if found:
            names = re.findall(rf"{prefix}_(\w+)", found[1])
            return {name: number for number, name in enumerate(names, 1)}
    return {}


def attribute_of(name: str) -> str:
    """What the kernel's headers call a setting of coalescing."""
    if name.startswith(("adaptive", "cqe-mode")):
        name = f"use-{name}"
    elif "frames" in name and not name.startswith(("tx-aggr", "rx-cqe")):
        name = name.replace("frames", "max-frames")
    elif name == "sample-interval":
        name = "rate-sample-interval"
    return name.upper().replace("-", "_")


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("ETHTOOL_A_RINGS", {name.upper().replace("-", "_"): number for name, number in RINGS.items()}),
        ("ETHTOOL_A_CHANNELS", {f"{name.upper()}_COUNT": number for name, number in CHANNELS.items()}),
        ("ETHTOOL_A_COALESCE", {attribute_of(name): number for name, number in COALESCE.items()}),
    ],
)
def test_the_numbers_are_the_kernels(prefix: str, names: Mapping[str, int]) -> None:
    """As far as the headers of this machine know them."""
    numbers = attributes_of(prefix)
    if not numbers:
        pytest.skip(f"NOT TESTED: the kernel's headers have no {prefix}")
    known = {name: number for name, number in names.items() if number <= len(numbers)}

    assert len(known) >= 4
    assert known == {name: numbers.get(name) for name in known}


@pytest.mark.parametrize("table", [RINGS, CHANNELS, COALESCE])
def test_each_number_has_one_name(table: Mapping[str, int]) -> None:
    """A request has each attribute once."""
    assert len({*table.values()}) == len(table)


@pytest.mark.parametrize(
    ("alias", "features"),
    [
        ("tso", {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation"}),
        ("tcp-segmentation-offload", {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation"}),
        ("tx", {"tx-checksum-ipv4"}),
        ("sg", {"tx-scatter-gather"}),
        ("gro", {"rx-gro"}),
    ],
)
def test_an_alias_stands_for_features(alias: str, features: set[str]) -> None:
    """For those that ethtool means, and no others of like names."""
    every = {
        "rx-checksum",
        "rx-gro",
        "rx-gro-hw",
        "tx-checksum-ipv4",
        "tx-gso-partial",
        "tx-scatter-gather",
        "tx-sctp-segmentation",
        "tx-tcp-ecn-segmentation",
        "tx-tcp-segmentation",
        "tx-tcp6-segmentation",
    }

    assert {*fnmatch.filter(every, FEATURE_ALIASES[alias])} == features
