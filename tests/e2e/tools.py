"""Builds or finds what the end-to-end tests run: ``python -m tests.e2e.tools [NAME …]``.

Each entry of `TOOLS` is made once and kept under `.cache/e2e`; it is made anew when the go.mod, the
go.sum or the recipe it comes from changes. A second run finds all of it in well under a second. What
cannot be had is named in one line; with ``CI=true`` in the environment that is a failure.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.e2e import images
from tests.e2e.debian import ROOT, debian_tool
from tests.e2e.golang import c_tool, go_tool, required_version
from tests.e2e.rust import cargo_tool
from tests.e2e.toolbox import BIN, CACHE, HERE, OTHERS, PINS, MissingError, Tool, ensure_program

__all__ = ["BIN", "CACHE", "IMAGES", "PINS", "ROOT", "TOOLS", "missing", "required_version", "wait_for"]

IMAGES = CACHE / "images"
_SYSTEM_PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "unshare": "util-linux",
}


def _make_images() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    images.write_all(IMAGES, busybox=ensure_program("busybox", package="busybox-static"))


def _find_system_programs() -> None:
    for program, package in _SYSTEM_PROGRAMS.items():
        ensure_program(program, package=package)


_CONTAINERD = "github.com/containerd/containerd/v2"
_CONTAINERD_1 = "github.com/containerd/containerd"
_CRIO = "github.com/cri-o/cri-o"
_RUNC = "github.com/opencontainers/runc"
_AS_ON_NODES: dict[str, Any] = {
    "has_cgo": True,
    "tags": "seccomp,netgo,osusergo",
    "libraries": ("libseccomp-dev",),
}
"""How runc is built for nodes: the kubelet gives each pod a seccomp profile."""
_KUBERNETES = "k8s.io/kubernetes"
_KUBERNETES_PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
_CNI = "github.com/containernetworking/plugins/plugins"
_HELM = "helm.sh/helm/v4"
_CONTAINERD_TAGS = "no_btrfs,no_zfs,no_devmapper"


def _containerd(name: str, of: str = _CONTAINERD, **where: Path) -> Tool:
    """Describe containerd, its shim and `ctr` out of a Go module."""
    return go_tool(
        name,
        *(f"{of}/cmd/{program}" for program in ("containerd", "containerd-shim-runc-v2", "ctr")),
        tags=_CONTAINERD_TAGS,
        versions={f"{of}/version.Version": of},
        **where,
    )


def _apart(name: str) -> dict[str, Path]:
    """Say that a tool has pins and a directory of its own."""
    return {"module": PINS / name, "place": CACHE / name}


DEFAULT = ("system", "images", "containerd", "runc", "cni", "ipam", "crictl")
"""What the tests need that run on containerd and runc whatever is chosen."""

MANIFESTS = ("kustomize",)
"""What tests/test_manifests.py and tests/test_chart.py need."""

CHART = ("helm", "registry")
"""What tests/test_chart.py needs beside."""

KUBERNETES = ("etcd", "kubernetes")
"""What tests/kubernetes needs beside engine and OCI runtime."""

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
    _containerd("containerd"),
    _containerd("containerd-2.3", **_apart("containerd-2.3")),
    _containerd("containerd-next", **_apart("containerd-next")),
    _containerd("containerd-1.7", _CONTAINERD_1, **_apart("containerd-1.7")),
    go_tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", module=PINS / "kustomize"),
    go_tool(
        "helm",
        f"{_HELM}/cmd/helm",
        module=PINS / "helm",
        versions={f"{_HELM}/internal/version.version": _HELM},
    ),
    go_tool("registry", "github.com/distribution/distribution/v3/cmd/registry", module=PINS / "registry"),
    go_tool("runc", _RUNC, **_AS_ON_NODES),
    go_tool("runc-rc", _RUNC, **_AS_ON_NODES, **_apart("runc-rc")),
    go_tool("runc-1.3", _RUNC, **_AS_ON_NODES, **_apart("runc-1.3")),
    go_tool("cni", f"{_CNI}/main/ptp", f"{_CNI}/main/loopback", f"{_CNI}/ipam/host-local"),
    go_tool("ipam", f"{_CNI}/ipam/dhcp", f"{_CNI}/ipam/static", module=PINS / "ipam"),
    go_tool(
        "crictl",
        "sigs.k8s.io/cri-tools/cmd/crictl",
        versions={"sigs.k8s.io/cri-tools/pkg/version.Version": "sigs.k8s.io/cri-tools"},
    ),
    go_tool(
        "crio",
        f"{_CRIO}/cmd/crio",
        module=PINS / "crio",
        place=CACHE / "crio",
        tags="containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper",
    ),
    go_tool(
        "docker",
        "github.com/moby/moby/v2/cmd/dockerd",
        module=PINS / "docker",
        place=CACHE / "docker",
        tags=f"{_CONTAINERD_TAGS},exclude_graphdriver_btrfs,exclude_graphdriver_zfs,netgo,osusergo",
        versions={"github.com/moby/moby/v2/dockerversion.Version": "github.com/moby/moby/v2"},
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
    cargo_tool("youki", version=OTHERS["youki"], features=("v1", "v2"), is_optional=True),
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
    for tool in chosen:
        start_s = time.monotonic()
        try:
            with _locked():
                is_new = tool.ensure()
            if is_new:
                print(f"{what}: made {tool.name} in {time.monotonic() - start_s:.0f} s", flush=True)
        except MissingError as error:
            wrong[tool.is_optional].append(f"{tool.name}: {error}")
    return wrong


_MEANWHILE = CACHE / "meanwhile.lock"
"""Locked by a process that makes tools while others are used."""


def _begin(names: Sequence[str]) -> None:
    """Make these in a process of its own, which goes on when this one has ended, unless one is at it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    log = _MEANWHILE.with_suffix(".log")
    with _MEANWHILE.open("w") as lock:
        if not _is_free(lock):
            return
        command = ["nice", "-n", "10", sys.executable, "-m", __spec__.name, *names]
        with log.open("w") as out:  # only now: it is whoever's who has the lock
            subprocess.Popen(command, stdout=out, stderr=out, pass_fds=[lock.fileno()], start_new_session=True)
    print(f"e2e-tools: {', '.join(names)} are made meanwhile, see {log.relative_to(HERE.parents[1])}")


def wait_for(names: Sequence[str]) -> list[str]:
    """Wait for what is being made meanwhile; return which of these tools are not here."""
    while missing(names):
        with _MEANWHILE.open("w") as lock:
            if _is_free(lock):
                return missing(names)
        time.sleep(1)
    return []


def _is_free(lock: IO[str]) -> bool:
    """Take a lock, if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tested() -> set[str]:
    """Name what the cells that the environment chooses need."""
    from tests.e2e import cells  # which uses this module

    return {name for cell in cells.chosen(is_matrix=True) for name in (*DEFAULT, *MANIFESTS, *SABOTAGE, *cell.needs())}


def main() -> int:
    """Make what is not ready; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.tools", description=__doc__.split("\n")[0])
    names = [tool.name for tool in TOOLS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; unless given: what is tested")
    parser.add_argument(
        "--meanwhile", action="store_true", help=f"begin to make {', '.join((*CHART, *KUBERNETES))}, and do not wait"
    )
    options = parser.parse_args()
    if options.meanwhile:
        _begin((*CHART, *KUBERNETES))
        return 0
    wanted = options.names or _tested()
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
