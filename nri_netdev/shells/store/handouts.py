"""Handouts: the directories that are mounted into containers, with what these are told of their interfaces.

`<run directory>/pods/<pod id>`, on the host's tmpfs: a reboot ends the containers, and the directories with them.
What is in the files is in `nri_netdev.domain.metadata`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from nri_netdev.domain.text.names import quote
from nri_netdev.errors import StateError

_POD_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
"""Engines make 64 digits of hex. It comes from outside and becomes a path: neither a slash nor a dot may be in it."""
_NEW = ".new-"
"""Begins the name of a file that is not complete. It is beside the directories, so that no container sees it."""


class Handouts:
    """The handouts of one node. For one thread at a time.

    Every method raises `StateError` with what to do when a directory or file cannot be used, and for a pod's id
    that cannot be a name.

    Args:
        run_dir: the run directory, under the path that it has on the host.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._root = run_dir / "pods"

    def make(self, pod_id: str) -> str:
        """Make the directory of a pod; files that it has already are kept.

        To be called before CreateContainer is answered: the OCI runtime fails a container of whose mounts a source is
        missing.

        Returns:
            Its path on the host.
        """
        directory = self._directory(pod_id)
        with _translated("make", directory):
            self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self._root, directory):
                path.mkdir(exist_ok=True)
                path.chmod(0o755)  # users of the container's own read it, whatever our umask is
        return str(directory)

    def has(self, pod_id: str) -> bool:
        """Whether a pod has a directory."""
        return self._directory(pod_id).is_dir()

    def write(self, pod_id: str, documents: Mapping[str, str]) -> None:
        """Write files of a pod, each at once: a reader sees the old one or the new one.

        Args:
            pod_id: the pod; its directory is made if it is missing.
            documents: contents by names of files.
        """
        directory = Path(self.make(pod_id))
        new = self._root / f"{_NEW}{pod_id}"
        for name, text in documents.items():
            with _translated("write", directory / name):
                try:
                    with new.open("w", encoding="utf-8") as file:
                        os.fchmod(file.fileno(), 0o644)
                        file.write(text)
                    new.rename(directory / name)
                except BaseException:
                    new.unlink(missing_ok=True)
                    raise

    def keep(self, pod_ids: Collection[str]) -> None:
        """Remove the directories of all other pods.

        Args:
            pod_ids: those that there are, and those that are being prepared for.
        """
        failed: StateError | None = None
        for path in self._found():
            if path.name not in pod_ids:
                try:
                    with _translated("remove", path):
                        _remove(path)
                except StateError as error:  # the others are still to be removed
                    failed = error
        if failed is not None:
            raise failed

    def _found(self) -> list[Path]:
        with _translated("read", self._root):
            try:
                return sorted(self._root.iterdir())
            except FileNotFoundError:
                return []

    def _directory(self, pod_id: str) -> Path:
        if not _POD_ID.fullmatch(pod_id):
            raise StateError(
                f"cannot make a directory for a pod whose id is {quote(pod_id)}",
                hint="an id has letters, digits, _ and - only; look for what else speaks NRI at the engine's socket",
            )
        return self._root / pod_id


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextlib.contextmanager
def _translated(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(
            f"cannot {doing} {path}: {error.strerror or error}", hint="check the run directory and its disk"
        ) from error
