"""The daemon's probes, asked by a real gRPC client."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from nri_netdev import cli
from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError, NriNetdevError, StateError
from nri_netdev.shells.observe import health
from tests.daemon.node import Node, node, on_loop, until  # noqa: F401 - a fixture

LOCAL = ListenAddress(host="127.0.0.1", port=0)


def test_services_by_name() -> None:
    """Each is asked anew each time; one that is not known is an error, as the protocol has it."""
    is_live = [True]
    with health.serve(LOCAL, {"liveness": lambda: is_live[0], "readiness": lambda: False}) as port:
        where = ListenAddress(host="127.0.0.1", port=port)
        assert health.check(where, "liveness")
        assert not health.check(where, "readiness")
        is_live[0] = False
        assert not health.check(where, "liveness")
        with pytest.raises(NriNetdevError, match='no service "frob"; there are liveness, readiness'):
            health.check(where, "frob")


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed daemon left does not keep the next one from answering."""
    where = ListenAddress(path=tmp_path / "run" / "health.sock")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "health.sock").touch()
    with health.serve(where, {"readiness": lambda: True}):
        assert health.check(where)
    with pytest.raises(NriNetdevError, match="no answer about readiness from unix:"):
        health.check(where)


def test_a_port_in_use_is_told() -> None:
    """Two daemons never answer by turns."""
    with (
        health.serve(LOCAL, {}) as port,
        pytest.raises(ConfigurationError, match=f"health: cannot listen on 127.0.0.1:{port}"),
        health.serve(ListenAddress(host="127.0.0.1", port=port), {}),
    ):
        pass


async def asked(where: ListenAddress, service: str) -> bool:
    """One probe, while this loop serves."""
    return await asyncio.to_thread(health.check, where, service)


@on_loop
async def test_a_daemon_is_live_before_it_is_ready(node: Node) -> None:  # noqa: F811
    """Ready from Synchronize on, and no longer when the engine is gone; `nri-netdev health` says the same."""
    where = ListenAddress(path=node.settings.run_dir / "health.sock")
    node.settings = replace(node.settings, health=f"unix://{where.path}")
    async with node.daemon():
        await until(where.path.exists if where.path else bool)
        assert await asked(where, "liveness")
        assert not await asked(where, "readiness")
        async with node.engine() as engine:
            await engine.wait_plugin(timeout_s=20)
            while not await asked(where, "readiness"):
                pass
            assert await asyncio.to_thread(cli.main, ["health", "--health", str(node.settings.health)]) == 0
        while await asked(where, ""):
            pass
        assert await asyncio.to_thread(cli.main, ["health", "--health", str(node.settings.health)]) == 1


@on_loop
async def test_without_a_ledger_it_is_live_and_not_ready(node: Node) -> None:  # noqa: F811
    """A daemon that can give nothing says so."""
    where = ListenAddress(path=node.settings.run_dir / "health.sock")
    node.settings = replace(node.settings, health=f"unix://{where.path}")
    node.trouble = StateError("cannot open the ledger: it is damaged; move it away")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin(timeout_s=20)
        assert await asked(where, "liveness")
        assert not await asked(where, "readiness")


@on_loop
async def test_a_loop_that_does_not_turn_is_not_live(node: Node) -> None:  # noqa: F811
    """A daemon that hangs is found by its liveness probe."""
    where = ListenAddress(path=node.settings.run_dir / "health.sock")
    node.settings = replace(node.settings, health=f"unix://{where.path}")
    async with node.daemon():
        await until(where.path.exists if where.path else bool)
        said: list[bool] = []
        prober = threading.Thread(target=lambda: said.append(health.check(where, "liveness")))
        prober.start()
        prober.join()  # on the loop's own thread: it cannot turn meanwhile
        assert said == [False]


def test_no_address_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nri-netdev health` says what is to be set."""
    (tmp_path / "config.yaml").write_text("name: nri-netdev\n")
    assert cli.main(["health", "--config", str(tmp_path / "config.yaml")]) == 2
    assert "set where the daemon answers" in capsys.readouterr().err


def test_the_real_name_of_the_service() -> None:
    """A client that knows nothing of this package finds it."""
    with (
        health.serve(LOCAL, {"": lambda: True}) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01"
