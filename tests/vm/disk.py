"""The disk and the kernels of the virtual machine, of Debian packages and this project: ``python -m tests.vm.disk``.

The base has the packages alone, and lasts. A driver that Debian lacks is built of its source. The disk adds that, the
engines at the paths that they have outside, and the daemon installed as docs/operators.md says; it is made anew when
one of these changes.
"""

import hashlib
import json
import lzma
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.e2e import tools
from tests.e2e.cells import cell
from tests.e2e.debian import KEYRING, mirror
from tests.e2e.engine import Engine
from tests.e2e.toolbox import CACHE, MissingError, Tool, ensure_program, install, run

TOP = Path(__file__).parents[2]
PLACE = CACHE / "vm"
GUEST = Path(__file__).with_name("guest")
BASE = PLACE / "base.tar"
DISK = PLACE / "disk.ext4"
BOOT = PLACE / "boot"
MODULES = PLACE / "modules"
SUITE = "trixie"
PROGRAM = Path("/opt/nri-netdev")
"""Where the daemon is in the machine."""
CELLS = (cell("containerd", "runc"), cell("crio", "crun"))
"""What runs in it, one at a time."""

_BASE_RECIPE = "2"
_SIMULATED = "drivers/net/netdevsim"
"""A driver that Debian's kernels lack, in their source."""
_SIZE = "4G"  # sparse
_PATIENCE_S = 30
"""How long engines wait for a plugin: what takes 0.2 s on a processor takes 2 s here."""
_PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", "zstd", "procps"),
    *("python3", "python3-venv", "iproute2", "ethtool", "iputils-ping", "nftables", "rdma-core", "network-manager"),
    "udhcpd",
)
_WITHOUT = ("man", "doc", "locale")
_TOOLS = ("system", "images", "crictl", "cni", "dump-tools")
_STAGED = (tools.BIN, tools.IMAGES, tools.CACHE / "crio", tools.ROOT)


class Staging:
    """A directory that becomes a part of the machine's file system; stands for a machine that engines are set up on.

    Args:
        directory: where its files are kept here.
    """

    cgroup = ""

    def __init__(self, directory: Path) -> None:
        self._top = directory
        self.directory = Path("/var/log")

    def path(self, inside: str | Path) -> Path:
        """Where a file of the machine is kept here."""
        path = self._top / str(inside).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def kernels() -> list[str]:
    """The releases of the kernels of the base: Debian stable's, and the newest of its backports."""
    found = [path.name.removeprefix("vmlinuz-") for path in BOOT.glob("vmlinuz-*")]
    return sorted(found, key=lambda release: [int(part) for part in re.findall(r"\d+", release)])


def _make_base() -> None:
    """Debian, with both kernels and the agent's service."""
    _ensure_qemu()
    ensure_program("mmdebstrap", package="mmdebstrap")
    where = mirror()
    releases = [_kernel_package(where, suite) for suite in (SUITE, f"{SUITE}-backports")]
    packages = [*_PACKAGES, f"linux-base/{SUITE}-backports", *releases]
    PLACE.mkdir(parents=True, exist_ok=True)
    service = GUEST / "guest-agent.service"
    command: list[str | Path] = [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--architectures=amd64", "--quiet"),
        "--aptopt=APT::Install-Recommends false",
        *(f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in _WITHOUT),
        f"--include={','.join(packages)}",
        '--setup-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
        '--setup-hook=echo COMPRESS=zstd >"$1/etc/initramfs-tools/conf.d/zstd"',
        f"--customize-hook=copy-in {shlex.quote(str(service))} /etc/systemd/system",
        f"--customize-hook=copy-in {shlex.quote(str(GUEST / 'setup.sh'))} /root",
        '--customize-hook=chroot "$1" sh /root/setup.sh && rm "$1/root/setup.sh"',
        *(SUITE, BASE),
        *(f"deb {where} {suite} main" for suite in (SUITE, f"{SUITE}-backports")),
    ]
    run(command, what="mmdebstrap")
    shutil.rmtree(BOOT, ignore_errors=True)
    BOOT.mkdir()
    run(["tar", "-xf", BASE, "-C", PLACE, "--wildcards", "./boot/vmlinuz-*", "./boot/initrd.img-*"], what="tar")


def _ensure_qemu() -> None:
    """An emulator with the NICs that are needed: the one of Debian 12 has no igb, its backports' has."""
    if _has_igb():
        return
    install("qemu-system-x86", "qemu-utils") if _codename() != "bookworm" else _install_from_backports()
    if not _has_igb():
        raise MissingError("qemu-system-x86_64 with an igb (8.0 or newer) is needed")


def _has_igb() -> bool:
    program = shutil.which("qemu-system-x86_64")
    if program is None or shutil.which("qemu-img") is None:
        return False
    told = subprocess.run([program, "-device", "help"], capture_output=True, text=True, check=False).stdout
    return '"igb"' in told


def _codename() -> str:
    text = Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _install_from_backports() -> None:
    lists = Path("/etc/apt/sources.list.d/bookworm-backports.list")
    lists.write_text(f"deb [signed-by={KEYRING}] {mirror()} bookworm-backports main\n")
    run(["apt-get", "update", "--quiet"], what="apt-get update")
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "--target-release"]
    names = ["bookworm-backports", "qemu-system-x86", "qemu-utils"]
    run([*command, *names], what="installing QEMU", env={"DEBIAN_FRONTEND": "noninteractive"})


def _kernel_package(where: str, suite: str) -> str:
    """The package of the newest kernel of a suite."""
    address = f"{where.rstrip('/')}/dists/{suite}/main/binary-amd64/Packages.xz"
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - apt's own
        text = lzma.decompress(answer.read()).decode()
    (entry,) = re.findall(r"^Package: linux-image-amd64\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)[:1]
    (package,) = re.findall(r"^Depends:.*?(linux-image-[0-9]\S*-amd64)\b", entry, re.MULTILINE)[:1]
    return str(package)


def _make_modules() -> None:
    """The driver that Debian lacks, for stable's kernel: its source and compiler are installed where they can go."""
    with tempfile.TemporaryDirectory(dir=PLACE) as work:
        tree = _unpacked(Path(work))
        os.mknod(tree / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        release = kernels()[0]
        source = f"linux-source-{'.'.join(release.split('.')[:2])}"
        chroot = ["chroot", tree]
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
        packages = [f"linux-headers-{release}", source, "make", "xz-utils"]
        own = f"/tmp/{source}/{_SIMULATED}"
        run([*chroot, "apt-get", "update", "--quiet"], what="apt-get update")
        run([*chroot, *install, *packages], what="installing the source", env={"DEBIAN_FRONTEND": "noninteractive"})
        run([*chroot, "tar", "-C", "/tmp", "-xf", f"/usr/src/{source}.tar.xz", own.removeprefix("/tmp/")], what="tar")
        make = ["make", "-C", f"/lib/modules/{release}/build", f"M={own}", "CONFIG_NETDEVSIM=m", "modules"]
        run([*chroot, *make], what=f"building {_SIMULATED}")
        run([*chroot, "strip", "--strip-debug", f"{own}/netdevsim.ko"], what="strip")
        shutil.rmtree(MODULES, ignore_errors=True)
        (MODULES / release).mkdir(parents=True)
        shutil.copy(tree / own.lstrip("/") / "netdevsim.ko", MODULES / release)


def _unpacked(work: Path) -> Path:
    tree = work / "tree"
    tree.mkdir()
    run(["tar", "-xf", BASE, "-C", tree, "--numeric-owner", "--exclude=./dev/*"], what="unpacking the base")
    return tree


def _make_disk() -> None:
    """The base, the engines, the daemon; the kernels beside it, for QEMU starts them itself."""
    with tempfile.TemporaryDirectory(dir=PLACE) as work:
        tree = _unpacked(Path(work))
        for release in kernels():
            updates = tree / "lib" / "modules" / release / "updates"
            shutil.copytree(MODULES / release, updates) if (MODULES / release).is_dir() else None
            run(["chroot", tree, "depmod", release], what="depmod")
        _stage_engines(tree)
        _stage_agent(Staging(tree))
        _install_daemon(tree, Path(work))
        DISK.unlink(missing_ok=True)
        # Without a checksum seed, or an older e2fsprogs than the kernel's makes one that is not mounted.
        command = ["mkfs.ext4", "-q", "-L", "root", "-O", "^metadata_csum_seed", "-d", tree, DISK, _SIZE]
        run(command, what="mkfs.ext4")


def _stage_engines(tree: Path) -> None:
    """Engines, OCI runtimes and tools at their paths outside, configured and with a unit each."""
    for directory in _STAGED:
        shutil.copytree(directory, tree / str(directory).lstrip("/"), symlinks=True)
    staging = Staging(tree)
    for each in CELLS:
        engine = each.engine(
            staging,
            handlers={each.runtime.name: each.runtime.program},
            is_debug=False,
            nri_request_timeout_s=_PATIENCE_S,
            nri_registration_timeout_s=_PATIENCE_S,
        )
        engine.configure()
        staging.path(f"/etc/systemd/system/{engine.name}.service").write_text(_unit(engine))


def _unit(engine: Engine) -> str:
    """A unit for an engine, like those that they come with."""
    argv = shlex.join(map(str, engine.argv()))
    settings = [f'Environment="{name}={value}"' for name, value in engine.environment().items()]
    return "\n".join(
        [
            *("[Unit]", f"Description={engine.name}", "After=network.target", "[Service]", "Type=notify"),
            *(f"ExecStart={argv}", *settings, "KillMode=process", "Delegate=yes", "TasksMax=infinity"),
            *("Restart=no", "[Install]", "WantedBy=multi-user.target", ""),
        ]
    )


def _stage_agent(staging: Staging) -> None:
    place = staging.path("/usr/local/lib/guest")
    place.mkdir(parents=True)
    for path in (GUEST / "agent.py", TOP / "tests" / "sabotage" / "dumps.py"):
        shutil.copy(path, place)
    dump_tools = tools.ROOT / "dump-tools" / "usr"
    own = [tools.BIN, PROGRAM / "bin", dump_tools / "sbin", dump_tools / "bin"]
    search = ":".join(map(str, [*own, "/usr/sbin", "/usr/bin", "/sbin", "/bin"]))
    service = staging.path("/etc/systemd/system/guest-agent.service.d/path.conf")
    service.write_text(f"[Service]\nEnvironment=HOME=/root PATH={search}\n")


def _install_daemon(tree: Path, work: Path) -> None:
    """As docs/operators.md says, but that the wheels are fetched here, and the machine needs no network."""
    (python,) = (
        path.name.removeprefix("python") for path in tree.glob("usr/bin/python3.[0-9]*") if "-" not in path.name
    )
    wheels = tree / "root" / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", f"--wheel-dir={work}", TOP], what="building the wheel")
    (wheel,) = work.glob("*.whl")
    download = ["download", f"--dest={wheels}", f"--python-version={python}", "--only-binary=:all:"]
    run([*pip, *download, wheel], what="fetching wheels")
    chroot = ["chroot", tree]
    run([*chroot, "python3", "-m", "venv", PROGRAM], what="making the daemon's venv")
    options = ["--quiet", "--no-index", "--find-links=/root/wheels", "--root-user-action=ignore"]
    run([*chroot, PROGRAM / "bin" / "pip", "install", *options, "nri-netdev"], what="installing the daemon")
    shutil.rmtree(wheels)
    shutil.copy(TOP / "manifests" / "systemd" / "nri-netdev.service", tree / "etc/systemd/system")
    rules = [{"namespaces": ["*"], "interfaces": ["*"], "allow_protected": True}]
    config = tree / "etc" / "nri-netdev" / "config.yaml"
    config.parent.mkdir()
    config.write_text(json.dumps({"log_level": "debug", "rules": rules}))


def _base_key() -> str:
    files = (GUEST / "guest-agent.service", GUEST / "setup.sh")
    return "\n".join((_BASE_RECIPE, SUITE, *_PACKAGES, *(path.read_text() for path in files)))


def _disk_key() -> str:
    """All that is put on it."""
    sources = [Path(__file__), TOP / "pyproject.toml", *GUEST.iterdir(), TOP / "tests/sabotage/dumps.py"]
    sources += [path for part in ("nri_netdev", "manifests/systemd") for path in sorted((TOP / part).rglob("*.*"))]
    digest = hashlib.sha256()
    for path in (path for path in sources if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{path}\n".encode() + path.read_bytes())
    stamps = [CACHE / f"{name}.stamp" for name in (*_needs(), VM_BASE.name, VM_MODULES.name)]
    made = [path.read_text() if path.is_file() else "" for path in stamps]
    return "\n".join((digest.hexdigest(), *made))


def _needs() -> list[str]:
    return sorted({*_TOOLS, *(name for each in CELLS for name in each.needs())})


VM_BASE = Tool(name="vm-base", files=(BASE, BOOT), key=_base_key, make=_make_base)
VM_MODULES = Tool(name="vm-modules", files=(MODULES,), key=lambda: f"{_base_key()}\n{_SIMULATED}", make=_make_modules)
VM_DISK = Tool(name="vm-disk", files=(DISK,), key=_disk_key, make=_make_disk)
_ALL = (VM_BASE, VM_MODULES, VM_DISK)


def missing() -> list[str]:
    """Name what is not here that a virtual machine needs."""
    return tools.missing(_needs()) + [tool.name for tool in _ALL if not tool.is_ready()]


def main() -> int:
    """Make what is not ready; return the exit status."""
    return tools.make_all([*_ALL], what="vm")


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
