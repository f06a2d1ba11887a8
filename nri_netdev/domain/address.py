"""Where a server of ours listens, as it is written in settings: `unix:///PATH` or `ADDRESS:PORT`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

_UNIX = "unix://"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """A unix socket by its path, or else an IP address or name and a port."""

    path: Path | None = None
    host: str = ""
    port: int = 0
    """0 to 65535; 0 takes any."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it; an IPv6 address may stand with or without brackets, as Kubernetes writes it in a variable.

        Raises:
            ValueError: It is neither form.
        """
        if text.startswith(_UNIX):
            path = Path(text.removeprefix(_UNIX))
            if not path.is_absolute():
                raise ValueError(f'"{text}": an absolute path after unix://')
            return cls(path=path)
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdecimal()) or int(port) >= 1 << 16:
            raise ValueError(f'"{text}": unix:///PATH or ADDRESS:PORT')
        return cls(host=host, port=int(port))

    @classmethod
    def parse_all(cls, text: str) -> tuple[Self, ...]:
        """Read several, separated by commas; none of an empty text.

        Raises:
            ValueError: One is neither form.
        """
        return tuple(map(cls.parse, text.split(","))) if text else ()

    @property
    def target(self) -> str:
        """As gRPC writes it."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
