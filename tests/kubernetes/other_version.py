"""For upgrades an image that differs in its version only: the archive of the one under test, and a layer upon it."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

_NAMES_VERSION = re.compile(r"opt/nri-netdev/lib/[^/]+/site-packages/nri_netdev/__init__\.py")


def write_other_version(archive: Path, other: Path, *, name: str, version: str) -> None:
    """Write an archive of docker's kind.

    Args:
        archive: of docker's kind, too.
        other: where to write.
        name: name and tag of the image in it.
        version: what it says of itself.
    """
    with tarfile.open(archive) as old, tarfile.open(other, "w") as new:
        (image,) = json.loads(_content(old, "manifest.json"))
        config = json.loads(_content(old, image["Config"]))
        for layer in image["Layers"]:
            file = old.extractfile(layer)
            assert file is not None
            _add(new, layer, file.read())
        top = _layer(old, image["Layers"][-1], version)
        digest = hashlib.sha256(top).hexdigest()
        _add(new, f"{digest}.tar", top)
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        config["history"].append({"created_by": f"version {version}"})
        packed = json.dumps(config).encode()
        image |= {
            "Config": f"{hashlib.sha256(packed).hexdigest()}.json",
            "RepoTags": [name],
            "Layers": [*image["Layers"], f"{digest}.tar"],
        }
        _add(new, image["Config"], packed)
        _add(new, "manifest.json", json.dumps([image]).encode())


def _layer(old: tarfile.TarFile, beneath: str, version: str) -> bytes:
    """A layer with the one file that names the version; `beneath` is the layer that has it."""
    with tarfile.open(fileobj=io.BytesIO(_content(old, beneath))) as layer:
        (found,) = (name for name in layer.getnames() if _NAMES_VERSION.fullmatch(name))
        text = _content(layer, found).decode()
    changed = re.sub(r'^__version__ = ".*"$', f'__version__ = "{version}"', text, flags=re.MULTILINE)
    assert changed != text
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, found, changed.encode())
    return packed.getvalue()


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, name
    return file.read()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    info.mtime = 1  # not that of the file which it replaces, or Python would go by what is compiled of that one
    tar.addfile(info, io.BytesIO(content))
