"""What a `PluginSession` decodes: on a large node nearly all pods and containers ask a plugin for nothing."""

from __future__ import annotations

from typing import Any, Protocol

from nri_netdev.proto import nri_pb2


class Filter(Protocol):
    """Decides what a session decodes and keeps. Arguments are valid during the call."""

    def concerns(self, method: str, encoded: bytes | memoryview) -> bool:
        """Whether to decode an event that comes while the session serves and pass it on.

        False answers it with an empty response: nothing to adjust.

        Args:
            method: its rpc.
            encoded: its request.
        """

    def pod(self, encoded: memoryview) -> Any:
        """What to keep, for `Synchronized`, of an encoded PodSandbox that Synchronize lists; None leaves it out.

        Raises:
            DecodeError: It is none; the connection ends.
        """

    def container(self, encoded: memoryview) -> Any:
        """The same, of an encoded Container."""


class KeepAll:
    """Decodes every event, pod and container. 5,000 pods and containers take some 80 MiB so."""

    def concerns(self, method: str, encoded: bytes | memoryview) -> bool:
        """True: pass every event on."""
        del method, encoded
        return True

    def pod(self, encoded: memoryview) -> Any:
        """The pod, decoded."""
        return nri_pb2.PodSandbox.FromString(encoded)  # type: ignore[arg-type] # a view will do

    def container(self, encoded: memoryview) -> Any:
        """The container, decoded."""
        return nri_pb2.Container.FromString(encoded)  # type: ignore[arg-type] # a view will do
