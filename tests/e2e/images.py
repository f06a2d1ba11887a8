"""The container images of the end-to-end tests, made by hand: no registry is asked for them.

An image is an OCI archive: a tar of one layer, its config, a manifest and an index
(image-spec, image-layout.md). The layer is busybox with a link for each of its applets.
"""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = "localhost/busybox:1"
"""What the containers of the tests run."""

PAUSE = "localhost/pause:1"
"""The same root file system, whose process sleeps: the sandbox container of a pod."""

RECIPE = "2"
"""To be raised with every change of what is made here, so that cached archives are made anew."""

_SLEEP_S = str(2**31 - 1)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _tar(entries: dict[str, bytes | str | None], *, executable: frozenset[str] = frozenset()) -> bytes:
    """Pack a tar: bytes are a file, text a symbolic link to it, None a directory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755 if name in executable else 0o644
                tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _layer(busybox: Path) -> bytes:
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    entries: dict[str, bytes | str | None] = dict.fromkeys(("bin", "etc", "proc", "root", "sys", "tmp", "dev"))
    entries["bin/busybox"] = busybox.read_bytes()
    entries |= {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    entries["etc/passwd"] = b"root:x:0:0:root:/root:/bin/sh\n"
    entries["etc/group"] = b"root:x:0:\n"
    return _tar(entries, executable=frozenset({"bin/busybox"}))


def write_archive(path: Path, *, name: str, busybox: Path, command: tuple[str, ...]) -> None:
    """Write the image called `name`, a busybox that runs `command`, as an OCI archive."""
    layer = _layer(busybox)
    packed_layer = gzip.compress(layer, mtime=0)
    blobs: list[bytes] = [packed_layer]

    def blob(content: object) -> dict[str, object]:
        packed = json.dumps(content).encode()
        blobs.append(packed)
        return {"digest": _digest(packed), "size": len(packed)}

    config = blob(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            # As process 1 nothing here heeds SIGTERM, and CRI-O would wait out its grace with every pod.
            "config": {"Env": ["PATH=/bin"], "Cmd": list(command), "StopSignal": "SIGKILL"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    kind = "application/vnd.oci.image"
    manifest = blob(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", **config},
            "layers": [
                {
                    "mediaType": f"{kind}.layer.v1.tar+gzip",
                    "digest": _digest(packed_layer),
                    "size": len(packed_layer),
                }
            ],
        }
    )
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.index.v1+json",
        "manifests": [{"mediaType": f"{kind}.manifest.v1+json", "annotations": names, **manifest}],
    }
    entries: dict[str, bytes | str | None] = dict.fromkeys(("blobs", "blobs/sha256"))
    entries["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    entries["index.json"] = json.dumps(index).encode()
    entries |= {"blobs/" + _digest(content).replace(":", "/"): content for content in blobs}
    partial = path.with_suffix(".partial")
    partial.write_bytes(_tar(entries))
    partial.rename(path)


def write_all(directory: Path, *, busybox: Path) -> None:
    """Write every image that the tests use into `directory`."""
    sleep = ("/bin/sleep", _SLEEP_S)
    write_archive(directory / "busybox.tar", name=BUSYBOX, busybox=busybox, command=sleep)
    write_archive(directory / "pause.tar", name=PAUSE, busybox=busybox, command=sleep)
