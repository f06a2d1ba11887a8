"""Builds or finds what the end-to-end tests run: ``python -m tests.e2e.tools [NAME …]``.

Each entry of `TOOLS` is made once and kept under `.cache/e2e`; it is made anew when the go.mod, the
go.sum or the recipe it comes from changes. A second run finds all of it in well under a second. What
cannot be had is named in one line; with ``CI=true`` in the environment that is a failure.
"""

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.e2e import images
from tests.e2e.debian import ROOT, debian_tool
from tests.e2e.golang import c_tool, go_tool, required_version
from tests.e2e.rust import cargo_tool
from tests.e2e.toolbox import BIN, CACHE, HERE, PINS, MissingError, Tool, ensure_program

__all__ = ["BIN", "CACHE", "IMAGES", "PINS", "ROOT", "TOOLS", "missing", "required_version"]

IMAGES = CACHE / "images"
_SYSTEM_PROGRAMS = {"ip": "iproute2", "mount": "mount", "nsenter": "util-linux", "unshare": "util-linux"}


def _make_images() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    images.write_all(IMAGES, busybox=ensure_program("busybox", package="busybox-static"))


def _find_system_programs() -> None:
    for program, package in _SYSTEM_PROGRAMS.items():
        ensure_program(program, package=package)


_CONTAINERD = "github.com/containerd/containerd/v2"
_CONTAINERD_1 = "github.com/containerd/containerd"
_CRIO = "github.com/cri-o/cri-o"
_SECCOMP: dict[str, Any] = {"tags": "seccomp,netgo,osusergo", "libraries": ("libseccomp-dev",)}
"""How runc is built for nodes: the kubelet gives each pod a seccomp profile."""
_KUBERNETES = "k8s.io/kubernetes"
_KUBERNETES_PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
_CNI = "github.com/containernetworking/plugins/plugins"
_CONTAINERD_TAGS = "no_btrfs,no_zfs,no_devmapper"

DEFAULT = ("system", "images", "containerd", "runc", "cni", "ipam", "crictl")
"""What the tests need that run on containerd and runc whatever is chosen."""

MANIFESTS = ("kustomize",)
"""What tests/test_manifests.py needs."""

SABOTAGE = ("dump-tools",)
"""What tests/sabotage needs."""

TOOLS = (
    Tool(
        name="system",
        files=(),
        key=lambda: str(all(shutil.which(program) for program in _SYSTEM_PROGRAMS)),
        make=_find_system_programs,
    ),
    Tool(
        name="images",
        files=(IMAGES / "busybox.tar", IMAGES / "pause.tar"),
        key=lambda: images.RECIPE,
        make=_make_images,
    ),
    go_tool(
        "containerd",
        f"{_CONTAINERD}/cmd/containerd",
        f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
        f"{_CONTAINERD}/cmd/ctr",
        tags=_CONTAINERD_TAGS,
        versions={f"{_CONTAINERD}/version.Version": _CONTAINERD},
    ),
    go_tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", module=PINS / "kustomize"),
    go_tool("runc", "github.com/opencontainers/runc", has_cgo=True, **_SECCOMP),
    go_tool("cni", f"{_CNI}/main/ptp", f"{_CNI}/main/loopback", f"{_CNI}/ipam/host-local"),
    go_tool("ipam", f"{_CNI}/ipam/dhcp", f"{_CNI}/ipam/static", module=PINS / "ipam"),
    go_tool(
        "crictl",
        "sigs.k8s.io/cri-tools/cmd/crictl",
        versions={"sigs.k8s.io/cri-tools/pkg/version.Version": "sigs.k8s.io/cri-tools"},
    ),
    go_tool(
        "containerd-1.7",
        f"{_CONTAINERD_1}/cmd/containerd",
        f"{_CONTAINERD_1}/cmd/containerd-shim-runc-v2",
        f"{_CONTAINERD_1}/cmd/ctr",
        module=PINS / "containerd-1.7",
        place=CACHE / "containerd-1.7",
        tags=_CONTAINERD_TAGS,
        versions={f"{_CONTAINERD_1}/version.Version": _CONTAINERD_1},
    ),
    go_tool(
        "runc-1.3",
        "github.com/opencontainers/runc",
        module=PINS / "runc-1.3",
        place=CACHE / "runc-1.3",
        has_cgo=True,
        **_SECCOMP,
    ),
    go_tool(
        "crio",
        f"{_CRIO}/cmd/crio",
        module=PINS / "crio",
        place=CACHE / "crio",
        tags="containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper",
    ),
    c_tool("pinns", sources="pinns/src", of=_CRIO, module=PINS / "crio", place=CACHE / "crio"),
    go_tool("etcd", "go.etcd.io/etcd/server/v3", module=PINS / "etcd", place=CACHE / "etcd"),
    go_tool(
        "kubernetes",
        *(f"{_KUBERNETES}/cmd/{part}" for part in _KUBERNETES_PARTS),
        module=PINS / "kubernetes",
        place=CACHE / "kubernetes",
        versions={"k8s.io/component-base/version.gitVersion": _KUBERNETES},
    ),
    debian_tool("crun", "crun", programs=("crun",)),
    debian_tool(
        "dump-tools",
        *("iproute2", "ethtool", "bpftool", "nftables"),
        programs=("bin/ip", "sbin/bridge", "sbin/tc", "sbin/ethtool", "sbin/bpftool", "sbin/nft"),
    ),
    debian_tool("crio-helpers", "conmon", "skopeo", programs=("conmon", "skopeo")),
    cargo_tool("youki", version="0.7.0", features=("v1", "v2"), is_optional=True),
)


def missing(names: Sequence[str] = DEFAULT) -> list[str]:
    """Name which of these tools are not here; those of the default engine unless others are named."""
    wrong = [] if os.geteuid() == 0 else ["root"]
    return wrong + [tool.name for tool in TOOLS if tool.name in names and not tool.is_ready()]


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time make tools."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(chosen: list[Tool], what: str) -> tuple[list[str], list[str]]:
    """Make what is not ready; return why something cannot be had: what is needed, what is optional."""
    wrong: tuple[list[str], list[str]] = ([], [])
    with _locked():
        for tool in chosen:
            start_s = time.monotonic()
            try:
                if tool.ensure():
                    print(f"{what}: made {tool.name} in {time.monotonic() - start_s:.0f} s", flush=True)
            except MissingError as error:
                wrong[tool.is_optional].append(f"{tool.name}: {error}")
    return wrong


def _tested() -> set[str]:
    """Name what the cells that the environment chooses need."""
    from tests.e2e import cells  # which uses this module

    return {name for cell in cells.chosen(is_matrix=True) for name in (*DEFAULT, *MANIFESTS, *SABOTAGE, *cell.needs())}


def main() -> int:
    """Make what is not ready; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.tools", description=__doc__.split("\n")[0])
    names = [tool.name for tool in TOOLS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; unless given: what is tested")
    wanted = parser.parse_args().names or _tested()
    if set(wanted) - set(names):
        parser.error(f"there is no {', '.join(sorted(set(wanted) - set(names)))}")
    chosen = [tool for tool in TOOLS if tool.name in wanted]
    return make_all(chosen, what="e2e-tools")


def make_all(chosen: list[Tool], *, what: str) -> int:
    """Make of these what is not ready, and print under this name what came of it; return the exit status."""
    wrong, absent = _make(chosen, what) if os.geteuid() == 0 else (["these tests need root"], [])
    for reason in absent:
        print(f"{what}: NOT TESTED: {reason}", file=sys.stderr)
    if not wrong:
        print(f"{what}: all that is needed is ready in {CACHE.relative_to(HERE.parents[1])}")
        return 0
    print(f"{what}: NOT ALL WILL BE TESTED END TO END: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
