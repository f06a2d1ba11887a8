"""The gRPC probes of a daemon's whole life, standing by for another one included.

A daemon that stands by is live and not ready. Where it is to answer, the daemon that serves may answer still: that one
is left there, and the address is taken as soon as it is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping

from nri_netdev.domain.address import Address
from nri_netdev.errors import ConfigurationError
from nri_netdev.log import event
from nri_netdev.shells.observe import health

_log = logging.getLogger(__name__)

_AGAIN_S = 0.5


class Probes:
    """A health service that can wait for its address.

    Args:
        address: where it is to answer; None for nowhere.
        services: by name, whether it serves; called on threads.
    """

    def __init__(self, address: Address | None, services: Mapping[str, Callable[[], bool]]) -> None:
        self._address = address
        self._services = services
        self._serving = contextlib.ExitStack()
        self._is_listening = address is None
        self._waiting: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def standing_by(self) -> AsyncIterator[None]:
        """Answer from now on, if the address is free, or from when it is; at the latest until the block ends."""
        try:
            self.listen()
        except ConfigurationError as error:
            event(_log, logging.WARNING, "health.waits", reason=str(error))
            self._waiting = asyncio.ensure_future(self._wait())
        try:
            yield
        finally:
            await self.close()

    def listen(self) -> None:
        """Be answering.

        Raises:
            ConfigurationError: The address cannot be listened on, or is another's.
        """
        if self._address is not None and not self._is_listening:
            self._serving.enter_context(health.serve(self._address, self._services))
            self._is_listening = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def close(self) -> None:
        """Answer no more."""
        if self._waiting is not None:
            self._waiting.cancel()
        # On another thread: a server that stops waits for threads that may wait for this one.
        await asyncio.to_thread(self._serving.close)

    async def _wait(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(ConfigurationError):
                self.listen()
