"""Who moves interfaces in: the operator says, and a runtime that ignores what it is asked is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.config.settings import Injection
from nri_netdev.daemon.injection import InjectionMemory
from nri_netdev.errors import RemoteError
from tests.daemon.node import Node, on_loop, until
from tests.fakes import HOME


@pytest.mark.parametrize(
    ("mode", "asks", "may_move"),
    [(Injection.AUTO, True, True), (Injection.OCI, True, False), (Injection.NETLINK, False, True)],
)
def test_the_operator_says_who_moves_interfaces(mode: Injection, asks: bool, may_move: bool) -> None:
    """Each mode decides whether runtimes are asked, and whether nri-netdev may move what they have left."""
    memory = InjectionMemory(mode)

    assert (memory.asks("runc"), memory.may_move) == (asks, may_move)


@pytest.mark.parametrize(
    ("mode", "is_news", "asks"),
    [
        (Injection.AUTO, [True, False], False),
        (Injection.OCI, [True, True], True),
        (Injection.NETLINK, [False] * 2, False),
    ],
)
def test_a_runtime_that_ignores_is_not_asked_again(mode: Injection, is_news: list[bool], asks: bool) -> None:
    """That is news for as long as it is asked all the same; other runtimes are asked as before."""
    memory = InjectionMemory(mode)

    assert [memory.ignored("old"), memory.ignored("old")] == is_news
    assert memory.asks("old") == asks
    assert memory.asks("new") == InjectionMemory(mode).asks("new")


def test_another_engine_is_asked_anew() -> None:
    """What was seen of its runtimes is forgotten."""
    memory = InjectionMemory(Injection.AUTO)
    memory.ignored("old")
    memory.forget()

    assert memory.asks("old")
    assert memory.ignored("old")


# -- with an engine ----------------------------------------------------------------------------------------------------


@on_loop
async def test_a_runtime_that_ignores_is_helped_and_remembered(node: Node) -> None:
    """At the start the interface is moved in all the same; the next time that handler is not even asked."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        assert (await engine.create_container(node.pod(), node.container())).linux.net_devices
        assert node.nic.netns == HOME
        await engine.start_container(node.pod(), node.container())
        assert node.nic.netns == node.netns.ino
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns == HOME
        assert not (await engine.create_container(node.pod(), node.container(2))).ByteSize()
        assert node.nic.netns == node.netns.ino
        await engine.start_container(node.pod(), node.container(2))
        await engine.stop_container(node.pod(), node.container(2))
        engine.hang_up()
        await until(lambda: not engine.plugins)
        await engine.wait_plugin(timeout_s=20)
        assert (await engine.create_container(node.pod(), node.container(3))).linux.net_devices


@on_loop
async def test_an_engine_that_drops_the_field_is_helped(node: Node) -> None:
    """NRI before 0.11 knows no network devices, so the interface is moved in at the start."""
    async with node.engine(nri_version=(0, 8)) as engine, node.daemon():
        await engine.wait_plugin()
        assert not (await engine.create_container(node.pod(), node.container())).linux.net_devices
        await engine.start_container(node.pod(), node.container())
        assert node.nic.netns == node.netns.ino


@on_loop
async def test_injection_oci_does_not_help(node: Node) -> None:
    """The start is refused with what to do, and the interface is where it was."""
    node.settings = replace(node.settings, injection="oci")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        with pytest.raises(RemoteError, match=r"ens1 did not arrive: .* ignored linux.netDevices; use NRI 0.11"):
            await engine.start_container(node.pod(), node.container())
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns == HOME
        assert not tuple(node.ledger.rows.values())


@on_loop
async def test_injection_netlink_never_asks(node: Node) -> None:
    """The interface is inside before the answer; what cannot be moved is refused then, and stays at home."""
    node.settings = replace(node.settings, injection="netlink")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        node.kernel.refused = {"send"}
        with pytest.raises(RemoteError, match="ens1 did not arrive"):
            await engine.create_container(node.pod(), node.container())
        assert not tuple(node.ledger.rows.values())
        node.kernel.refused = set()
        assert not (await engine.create_container(node.pod(), node.container(2))).ByteSize()
        assert node.nic.netns == node.netns.ino
