"""All files of an engine's configuration, as the engine itself finds them.

What is in another mount namespace, such as the host's as seen from a pod with hostPID, is read through /proc/PID/root.
Sources: containerd cmd/containerd/server/config/config.go; CRI-O internal/criocli/criocli.go and pkg/config/config.go.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from nri_netdev.cli.engine_config import Document
from nri_netdev.errors import ConfigurationError

HERE = Path("/")
"""The root directory of this process."""
_SYMLINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFile:
    """One file of a configuration."""

    name: str
    """Its path, or what else it is."""
    document: Document
    changed_s: float = 0
    """When it was last changed, in seconds since the epoch."""


def containerd_files(path: Path, *, root: Path = HERE) -> Iterator[EngineFile]:
    """A file of containerd's, then what it imports, then what these import; each once.

    Args:
        path: of the first file.
        root: the root directory of the engine, as seen from here.

    Raises:
        ConfigurationError: One cannot be read.
    """
    known: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop(0)
        if path not in known:
            known.add(path)
            file = read_file(path, root=root)
            yield file
            for pattern in imports_of(file.document):
                waiting += _matching(root, Path(os.path.normpath(path.parent / pattern)))


def crio_files(path: Path, drop_ins: Path | None, *, root: Path = HERE) -> Iterator[EngineFile]:
    """CRI-O's file, if there is one, then every file below its directory of drop-in files, whatever its name.

    Args:
        path: of the file.
        drop_ins: the directory; None for none.
        root: the root directory of the engine, as seen from here.

    Raises:
        ConfigurationError: One cannot be read.
    """
    if exists(path, root=root):
        yield read_file(path, root=root)
    for one in _walk(root, drop_ins) if drop_ins else ():
        yield read_file(one, root=root)


def imports_of(document: Document) -> list[str]:
    """What a file of containerd's imports: paths, absolute or relative to its directory; one with a * is a pattern."""
    imports = document.get("imports")
    return [one for one in imports if isinstance(one, str)] if isinstance(imports, list) else []


def read_file(path: Path, *, root: Path = HERE) -> EngineFile:
    """Read one file.

    Raises:
        ConfigurationError: It cannot be read, or is no TOML.
    """
    file = _under(root, path)
    try:
        if not file.is_file() and file.exists():  # a pipe would never end
            raise ConfigurationError(f"cannot read {path}: it is not a file")
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        status = file.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    return EngineFile(name=str(path), document=document, changed_s=max(status.st_mtime, status.st_ctime))


def exists(path: Path, *, root: Path = HERE) -> bool:
    """Whether there is a file or directory that can be seen."""
    with contextlib.suppress(OSError):
        return _under(root, path).exists()
    return False


def _under(root: Path, path: Path) -> Path:
    """A path of a process whose root directory is seen here at `root`; symbolic links are followed as there."""
    if root == HERE:
        return path
    found, waiting, links = root, list(reversed(path.parts[1:])), 0
    while waiting:
        part = waiting.pop()
        step = found / part
        if part == "..":
            found = found if found == root else found.parent
        elif step.is_symlink() and links < _SYMLINKS:
            target = step.readlink()
            found = root if target.is_absolute() else found
            waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            links += 1
        else:
            found = step
    return found


def _matching(root: Path, pattern: Path) -> list[Path]:
    """The paths that a pattern of containerd's names: without a * itself; with one what there is, in order."""
    if "*" not in str(pattern):
        return [pattern]
    paths = [HERE]
    for part in pattern.parts[1:]:
        wanted = part.replace("[^", "[!")
        paths = [path / name for path in paths for name in _names(root, path) if fnmatchcase(name, wanted)]
    return paths


def _walk(root: Path, directory: Path) -> Iterator[Path]:
    for name in _names(root, directory):
        path = directory / name
        inside = _under(root, directory) / name
        if inside.is_dir() and not inside.is_symlink():
            yield from _walk(root, path)
        else:
            yield path


def _names(root: Path, directory: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(os.listdir(_under(root, directory)))  # noqa: PTH208 - names
    return []
