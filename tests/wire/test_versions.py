"""What an engine tells of itself is read without ever taking it for newer than it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.wire.versions import first_version, nri_release


@pytest.mark.parametrize(
    ("name", "version", "release"),
    [
        ("containerd", "v2.3.4", (0, 12)),
        ("containerd", "2.3.0", (0, 12)),
        ("containerd", "v2.3.0-rc.1", (0, 11)),
        ("containerd", "v2.4.0-beta.0", (0, 12)),
        ("containerd", "2.2.1-0ubuntu1~24.04", (0, 11)),
        ("containerd", "v2.2.1-k3s1", (0, 11)),
        ("containerd", "2.2.1+unknown", (0, 11)),
        ("containerd", "v2.2.0", (0, 10)),
        ("containerd", "v2.2.0-rc.0", (0, 8)),
        ("containerd", "v2.1.9", (0, 8)),
        ("containerd", "v1.7.26", (0, 8)),
        ("containerd", "v1.7.25", (0, 3)),
        ("containerd", "v1.6.0", None),
        ("containerd", "v10.0.0", (0, 12)),
        ("cri-o", "1.36.3", (0, 11)),
        ("cri-o", "1.37.0", (0, 12)),
        ("cri-o", "1.37", (0, 12)),
        ("cri-o", "1.34.1", (0, 10)),
        ("cri-o", "1.33.0", (0, 9)),
        ("cri-o", "1.25.0", None),
        ("containerd", "unknown", None),
        ("containerd", "", None),
        ("podman", "v9.9.9", None),
    ],
)
def test_by_version_of_the_engine(name: str, version: str, release: tuple[int, int] | None) -> None:
    """Before NRI 0.12 the engine's version tells."""
    assert nri_release(nri_version="", runtime_name=name, runtime_version=version) == release


@pytest.mark.parametrize(
    ("told", "release"),
    [
        ("v0.12.0", (0, 12)),
        ("0.13.1", (0, 13)),
        ("v1.0.0", (1, 0)),
        ("(devel)", (0, 12)),
        ("unknown", (0, 12)),
    ],
)
def test_as_told(told: str, release: tuple[int, int]) -> None:
    """Since NRI 0.12 the engine tells; even a useless answer shows that it is that new."""
    assert nri_release(nri_version=told, runtime_name="containerd", runtime_version="v1.7.0") == release


@given(st.text(), st.sampled_from(["containerd", "cri-o", "x"]), st.text())
def test_any_text_is_read(told: str, name: str, version: str) -> None:
    """No text makes it fail."""
    nri_release(nri_version=told, runtime_name=name, runtime_version=version)


@pytest.mark.parametrize("name", ["containerd", "cri-o"])
@pytest.mark.parametrize("release", [(0, 12), (0, 11), (0, 10)])
def test_first_version_has_its_release(name: str, release: tuple[int, int]) -> None:
    """The version given as an example of a release is known to be of it."""
    version = first_version(name, release)
    assert nri_release(nri_version="", runtime_name=name, runtime_version=version) == release
