"""The gRPC probes of a daemon, from the moment it stands by for another one.

A daemon that stands by is live and not ready. While the serving daemon still listens on the address, the probes wait,
and take the address as soon as it is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping

from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError
from nri_netdev.log import event
from nri_netdev.shells.observe import health

_log = logging.getLogger(__name__)

_AGAIN_S = 0.5


class Probes:
    """A health service that can wait for its address.

    Args:
        address: where to listen.
        services: by name, a function that returns whether the service serves; called on other threads.
    """

    def __init__(self, address: ListenAddress, services: Mapping[str, Callable[[], bool]]) -> None:
        self._address = address
        self._services = services
        self._serving = contextlib.ExitStack()
        self._is_listening = False
        self._waiting: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def standing_by(self) -> AsyncIterator[None]:
        """Answer as soon as the address is free, until the block ends."""
        try:
            self.listen()
        except ConfigurationError as error:
            event(_log, logging.INFO, "health.waits", reason=str(error))
            self._waiting = asyncio.ensure_future(self._wait())
        try:
            yield
        finally:
            await self.close()

    def listen(self) -> None:
        """Start to answer, unless that has been done.

        Raises:
            ConfigurationError: The address cannot be listened on, or another process has it.
        """
        if not self._is_listening:
            self._serving.enter_context(health.serve(self._address, self._services))
            self._is_listening = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def close(self) -> None:
        """Stop answering."""
        if self._waiting is not None:
            self._waiting.cancel()
        # On another thread: a server that stops waits for threads that may wait for this one.
        await asyncio.to_thread(self._serving.close)

    async def _wait(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(ConfigurationError):
                self.listen()
