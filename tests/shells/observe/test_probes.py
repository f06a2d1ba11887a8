"""Two daemons on one state directory: the one that stands by is live, not ready, and in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError, NriNetdevError
from nri_netdev.shells.observe import health
from tests.daemon.node import Node, node, on_loop, until  # noqa: F401 - a fixture


async def asked(where: ListenAddress, service: str) -> bool:
    """One probe, while this loop serves."""
    return await asyncio.to_thread(health.check, where, service)


async def ready(where: ListenAddress) -> None:
    """Wait until it says so; between two daemons nobody may answer."""
    while True:
        with contextlib.suppress(NriNetdevError):
            if await asked(where, "readiness"):
                return


def unix(node: Node, name: str) -> tuple[str, ListenAddress]:  # noqa: F811
    """An address in the node's run directory, as a setting and as it is asked."""
    path = node.settings.run_dir / name
    return f"unix://{path}", ListenAddress(path=path)


@on_loop
async def test_standing_by_is_live_and_not_ready(node: Node) -> None:  # noqa: F811
    """At an address of its own it answers at once, and is ready when its turn has come."""
    settings = node.settings
    first_told, first = unix(node, "first.sock")
    second_told, second = unix(node, "second.sock")
    async with node.engine() as engine:
        node.settings = replace(settings, health=first_told)
        async with node.daemon():
            await engine.wait_plugin()
            await ready(first)
            node.settings = replace(settings, health=second_told)
            async with node.daemon() as standby:
                await until((settings.run_dir / "second.sock").exists)
                assert await asked(second, "liveness")
                assert not await asked(second, "readiness")
                assert await asked(first, "readiness")
                standby.cancel()
                await asyncio.wait([standby])
            assert not (settings.run_dir / "second.sock").exists()
            assert await asked(first, "readiness")


@pytest.mark.parametrize("is_port", [False, True])
def test_one_address_for_both(node: Node, is_port: bool, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    """The one that serves goes on answering; when it ends the other answers there, and becomes ready."""

    @on_loop
    async def check(node: Node) -> None:
        told, where = unix(node, "health.sock")
        if is_port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                where = ListenAddress(host="127.0.0.1", port=probe.getsockname()[1])
            told = where.target
        node.settings = replace(node.settings, health=told)
        async with node.engine() as engine, node.daemon() as serving:
            await engine.wait_plugin()
            await ready(where)
            async with node.daemon():
                await until(lambda: "health.waits" in caplog.messages and "daemon.standby" in caplog.messages)
                assert await asked(where, "readiness")
                serving.cancel()
                await asyncio.wait([serving])
                await engine.wait_plugin()
                await ready(where)

    with caplog.at_level(logging.INFO):
        check(node)


@on_loop
async def test_an_address_that_stays_in_use_is_an_error(node: Node) -> None:  # noqa: F811
    """A daemon whose turn has come and that cannot answer does not start; the socket of the other is left alone."""
    path = Path(node.settings.run_dir / "health.sock")
    path.parent.mkdir()
    node.settings = replace(node.settings, health=f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        async with node.daemon() as daemon:
            with pytest.raises(ConfigurationError, match=r"health: cannot listen on unix:.*: Address already in use"):
                await daemon
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
