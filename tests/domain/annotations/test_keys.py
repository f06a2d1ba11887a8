"""What a key says by itself."""

from __future__ import annotations

import pytest

from nri_netdev.domain.annotations.grammars import ALL_PREFIXES, candidates
from nri_netdev.domain.annotations.keys import is_ours, meant_prefix, named_container, why_unknown


@pytest.mark.parametrize("source", candidates(container="app"), ids=lambda source: source.key)
def test_every_key_that_a_grammar_has_is_known(source: object) -> None:
    """And names the container if it is for one."""
    key = source.key  # type: ignore[attr-defined]
    assert is_ours(key)
    assert why_unknown(key) is None
    assert named_container(key) == ("app" if key.endswith(".app") else None)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("nri-netdev.io/contianer.app", 'unknown annotation key (did you mean "nri-netdev.io/container.app"?)'),
        ("nri-netdev.io/contianer", 'unknown annotation key (did you mean "nri-netdev.io/container.NAME"?)'),
        ("nri-netdev.io/Pod", 'unknown annotation key (did you mean "nri-netdev.io/pod"?)'),
        ("nri-netdev.io/", "unknown annotation key"),
        ("nri-netdev.io/container.", "unknown annotation key, which names no container"),
        (
            "network-devices.nri.io/contaner.app",
            'unknown annotation key, which is ignored (did you mean "network-devices.nri.io/container.app"?)',
        ),
        ("netdevice.noderesource.dev/container.app", "unknown annotation key, which is ignored"),
    ],
)
def test_a_key_that_no_grammar_has(key: str, why: str) -> None:
    """With what is meant, if something is near."""
    assert is_ours(key)
    assert why_unknown(key) == why


def test_keys_of_others() -> None:
    """They are not ours, however they begin."""
    assert not any(map(is_ours, ["nri-netdev.iox/pod", "nri-netdev.io.example", "other/nri-netdev.io", ""]))
    assert named_container("other/container.app") is None


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("nri-netdev/container.app", "nri-netdev.io/container.app"),
        ("nri_netdev.io", "nri-netdev.io"),
        ("NRI-NETDEV.IO/pod", "nri-netdev.io/pod"),
        ("network-device.nri.io/pod", "network-devices.nri.io/pod"),
        ("netdevice.nri.containerd.io", "netdevices.nri.containerd.io"),
    ],
)
def test_a_prefix_that_is_nearly_ours(key: str, meant: str) -> None:
    """A slip is told; another's prefix is not taken for one."""
    assert meant_prefix(key) == f' (did you mean "{meant}"?)'
    assert all(map(is_ours, ALL_PREFIXES))


@pytest.mark.parametrize("key", ["nri-netdev.io.example/pod", "networks.example/pod", "nri.io/x", "n" * 1000, "/", ""])
def test_a_prefix_of_others(key: str) -> None:
    """Nothing is proposed for it."""
    assert meant_prefix(key) == ""
