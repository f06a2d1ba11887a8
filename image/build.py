"""Build the container image with whatever builder is here: `python image/build.py [--base NAME@sha256:…]`.

The builder is docker, podman or buildah. Without --base, for machines that reach no image registry, the base is Debian
with python3, made by debootstrap as root and kept in .cache/image. The image is written as an archive that `ctr images
import`, `podman load` and `skopeo copy` take, and its size is told.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "image"
NAME = "localhost/nri-netdev"
ARCHIVE = CACHE / "nri-netdev.tar"
LIMIT_BYTES = 120 * 10**6
"""The most that the layers may weigh, compressed."""

SUITE = "trixie"
RUNTIME_PACKAGES = ("python3",)
BUILD_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_USELESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")

Command = Sequence[str | Path]


class BuildError(Exception):
    """The image cannot be built here."""


def run(command: Command, **environment: str) -> str:
    """Run a command, its chatter on standard error, and return its standard output.

    Raises:
        BuildError: It failed.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}: status {done.returncode}")
    return done.stdout.strip()


# -- a base without a registry -----------------------------------------------------------------------------------------


def debian(kind: str, packages: tuple[str, ...]) -> Path:
    """Make a root file system of Debian, as a tar; once for each recipe.

    Raises:
        BuildError: There is no debootstrap, or it fails.
    """
    recipe = hashlib.sha256(repr((SUITE, packages, _USELESS)).encode()).hexdigest()[:12]
    tar = CACHE / f"base-{kind}-{recipe}.tar"
    if tar.exists():
        return tar
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise BuildError("to make a base I need root and debootstrap; or name one: --base NAME@sha256:…")
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        tree = Path(work, "tree")
        include = f"--include={','.join(packages)}"
        print(f"image: making a base of Debian {SUITE} for {kind}", file=sys.stderr)
        log = CACHE / "debootstrap.log"
        with log.open("w") as out:
            command = ["debootstrap", "--variant=minbase", include, SUITE, str(tree)]
            if subprocess.run(command, stdout=out, stderr=out, check=False).returncode:
                raise BuildError(f"debootstrap failed, see {log.relative_to(ROOT)}")
        for name in _USELESS:
            shutil.rmtree(tree / name, ignore_errors=True)
            (tree / name).mkdir(parents=True)
        partial = tar.with_suffix(".partial")
        run(["tar", "--create", "--numeric-owner", "--one-file-system", "--file", partial, "--directory", tree, "."])
        partial.rename(tar)
    return tar


# -- builders ----------------------------------------------------------------------------------------------------------


def builder() -> str:
    """The first of docker, podman and buildah that works here.

    Raises:
        BuildError: None does.
    """
    for name, probe in (("docker", ["info"]), ("podman", ["info"]), ("buildah", ["version"])):
        command = [name, *probe]
        if shutil.which(name) and not subprocess.run(command, capture_output=True, check=False).returncode:
            return name
    raise BuildError("none of docker, podman, buildah works here")


def storage(program: str) -> list[str]:
    """Options before the command: buildah gets a store of its own, so that nothing of the machine's is touched."""
    if program != "buildah":
        return []
    return ["--storage-driver=vfs", f"--root={CACHE / 'store'}", f"--runroot={CACHE / 'runroot'}"]


def import_base(program: str, tar: Path) -> str:
    """Make an image of a root file system and return its name."""
    name = f"localhost/{tar.stem}:1"
    if program == "buildah":
        options = storage(program)
        if name not in run([program, *options, "images", "--format", "{{.Name}}:{{.Tag}}"]).splitlines():
            container = run([program, *options, "from", "scratch"])
            run([program, *options, "add", "--quiet", container, tar, "/"])
            run([program, *options, "commit", "--quiet", "--rm", container, name])
    else:
        run([program, "import", tar, name])
    return name


def build(program: str, base: str, build_base: str, *, version: str, platform: str = "") -> None:
    """Build the image and write the archive."""
    tag = f"{NAME}:{version}"
    arguments = {
        "BASE": base,
        "BUILD_BASE": build_base,
        "VERSION": version,
        "REVISION": os.environ.get("REVISION", "unknown"),
        **{name: os.environ[name] for name in ("PIP_CERT", "PIP_INDEX_URL") if name in os.environ},
    }
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    options += [f"--platform={platform}"] if platform else []
    partial = ARCHIVE.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    if program == "buildah":
        options += ["--isolation=chroot", "--layers=false"]
        options += ["--volume=/etc/ssl/certs:/etc/ssl/certs:ro", "--volume=/etc/resolv.conf:/etc/resolv.conf:ro"]
        run([program, *storage(program), "bud", *options, "--format=oci", f"--tag={tag}", str(ROOT)])
        run([program, *storage(program), "push", "--quiet", tag, f"docker-archive:{partial}:{tag}"])
    else:
        run([program, "build", *options, f"--tag={tag}", str(ROOT)])
        run([program, "save", f"--output={partial}", tag])
    partial.rename(ARCHIVE)


def compressed_bytes(archive: Path) -> int:
    """What the layers weigh compressed, whether they are so in the archive or not."""
    import tarfile  # noqa: PLC0415 - for this alone

    total = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.size > 1 << 16:
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 - it is a file
                data = content.read()
                total += len(data) if data[:2] == b"\x1f\x8b" else len(gzip.compress(data, 6))
    return total


def main() -> int:
    """Build; return the exit status."""
    parser = argparse.ArgumentParser(prog="image/build.py", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--base", metavar="NAME@sha256:…", help="base image, by digest; made by debootstrap if not given"
    )
    parser.add_argument("--platform", default="", help="as in linux/arm64; this machine's if not given")
    options = parser.parse_args()
    if options.base and "@sha256:" not in options.base:
        parser.error("--base: name it by its digest, NAME@sha256:…")
    CACHE.mkdir(parents=True, exist_ok=True)
    version = runpy.run_path(str(ROOT / "nri_netdev" / "__init__.py"))["__version__"]
    lock = (CACHE / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends
    try:
        program = builder()
        base = options.base or import_base(program, debian("run", RUNTIME_PACKAGES))
        build_base = options.base or import_base(program, debian("build", BUILD_PACKAGES))
        build(program, base, build_base, version=version, platform=options.platform)
        size = compressed_bytes(ARCHIVE)
        if size > LIMIT_BYTES:
            raise BuildError(f"{size / 1e6:.0f} MB compressed, more than {LIMIT_BYTES / 1e6:.0f}")  # noqa: TRY301
    except BuildError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    print(f"image: {NAME}:{version}, {size / 1e6:.0f} MB compressed, in {ARCHIVE.relative_to(ROOT)}, by {program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
