"""The hooks: each event of the engine is answered in time, with what custody has decided or with the reason."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from nri_netdev.custody.returning import Beside
from nri_netdev.daemon import hooks
from nri_netdev.domain.claim import State
from nri_netdev.errors import RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.methods import event_mask
from tests.custody.test_handing import FakeHandouts
from tests.daemon.node import Node, announced, is_untouched, on_loop, until
from tests.fakes import HOME


@on_loop
async def test_a_container_is_answered_by_what_was_made_ready_for_its_pod(node: Node) -> None:
    """Nothing is judged when it is created, and everything after it is as ever."""

    def inventory(**_: Any) -> Any:
        raise ZeroDivisionError

    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = await announced(node, engine, "- {interface: ens1, name: net1}")
        node.kernel.host.inventory = inventory  # type: ignore[method-assign]
        adjust = await engine.create_container(pod, node.container())
        assert {name: device.name for name, device in adjust.linux.net_devices.items()} == {"ens1": "net1"}
        await until(lambda: node.ledger.rows)
        assert [claim.owner.container_id for claim in tuple(node.ledger.rows.values())] == ["c1"]
        assert tuple(node.ledger.prepared.values()) == ()
        node.kernel.runtime_create(node.netns, {"ens1": "net1"})
        await engine.start_container(pod, node.container())
        assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]
        await engine.stop_container(pod, node.container())
        assert is_untouched(node)
        assert node.nic.link.ifname == "ens1"


@on_loop
async def test_a_container_that_comes_before_all_is_ready(node: Node) -> None:
    """It waits for its turn and gets what it asked for, once."""
    ready, inventory, asked = threading.Event(), node.kernel.host.inventory, threading.Event()

    def slowly(**fields: Any) -> Any:
        asked.set()
        ready.wait()
        return inventory(**fields)

    node.kernel.host.inventory = slowly  # type: ignore[method-assign]
    async with node.engine(request_timeout_s=60.0) as engine, node.daemon():
        await engine.wait_plugin()
        await engine.run_pod_sandbox(node.pod())
        await until(asked.is_set)
        create = asyncio.ensure_future(engine.create_container(node.pod(), node.container()))
        ready.set()
        assert list((await create).linux.net_devices) == ["ens1"]
        await until(lambda: node.ledger.rows)
        assert (len(tuple(node.ledger.rows.values())), tuple(node.ledger.prepared.values())) == (1, ())


@on_loop
async def test_what_was_made_ready_ends_with_its_pod_or_the_daemon(node: Node) -> None:
    """No row, no mark and no pin is left of it."""
    async with node.engine() as engine:
        async with node.daemon():
            await engine.wait_plugin()
            await engine.stop_pod_sandbox(await announced(node, engine))
            assert is_untouched(node)
            await announced(node, engine)
        assert is_untouched(node)


@on_loop
async def test_nothing_is_made_ready_where_the_runtime_is_not_asked(node: Node) -> None:
    """With `injection: netlink` the interface is moved when the container is created, and not before."""
    written: list[object] = []
    write = node.ledger.write

    def recorded(**changes: Any) -> None:
        written.extend(claim for claim in changes.get("put", ()) if not claim.state.is_binding)
        write(**changes)

    node.ledger.write = recorded  # type: ignore[method-assign]
    node.settings = replace(node.settings, injection="netlink")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.run_pod_sandbox(node.pod())
        assert not (await engine.create_container(node.pod(), node.container())).ByteSize()
        assert node.nic.netns == node.netns.ino
        assert written == []


@on_loop
async def test_what_asks_for_nothing_never_waits_for_custody(node: Node) -> None:
    """Containers without annotations are answered while custody is busy with something else."""
    busy = threading.Event()
    node.kernel.host.inventory = lambda **_: busy.wait() and None  # type: ignore[method-assign,assignment,func-returns-value]
    async with node.engine(request_timeout_s=6.0) as engine, node.daemon():
        await engine.wait_plugin()
        stuck = asyncio.ensure_future(engine.create_container(node.pod(), node.container()))
        await until(lambda: not stuck.done())
        with pytest.raises(RemoteError, match="still busy"):
            await stuck
        plain = node.pod(None, "p2")
        await engine.run_pod_sandbox(plain)
        assert not (await engine.create_container(plain, node.container(2, "p2"))).ByteSize()
        await engine.start_container(plain, node.container(2, "p2"))
        await engine.stop_container(plain, node.container(2, "p2"))
        await engine.stop_pod_sandbox(plain)
        busy.set()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("- ens9", r'interface "ens9" is not on this node \(annotation .*, entry 1\)'),
        ("- [", "is not YAML"),
        ("- {interface: ens1, name: a/b}", "field name"),
    ],
)
def test_refusals_reach_the_engine(node: Node, value: str, reason: str) -> None:
    """A refusal names pod, container and reason, and nothing is moved or written."""

    @on_loop
    async def check(node: Node) -> None:
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            with pytest.raises(RemoteError, match=rf"nri-netdev: pod default/web, container app: .*{reason}"):
                await engine.create_container(node.pod(value), node.container())
            assert tuple(node.ledger.rows.values()) == ()
            assert node.nic.netns == HOME

    check(node)


@on_loop
async def test_a_guest_is_given_nothing(node: Node) -> None:
    """Nothing is prepared for its pod or claimed, nothing moves; the reason reaches the engine, and the metrics."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = node.pod()
        pod.runtime_handler = "kata-qemu"
        await engine.run_pod_sandbox(pod)
        with pytest.raises(RemoteError, match=r'app: the runtime handler "kata-qemu" .*Use a runtime class of runc'):
            await engine.create_container(pod, node.container())
        assert is_untouched(node)
        assert node.nic.netns == HOME


@on_loop
@pytest.mark.parametrize("handler", ["", "vm"])
async def test_a_guest_that_only_its_process_shows(node: Node, handler: str) -> None:
    """At CreateContainer by the pod's; at StartContainer, where an engine tells of no other, by the container's."""
    node.netns.processes.add(4711)
    node.kernel.process_names[4711] = frozenset({"cloud-hypervisor"})
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod, container = node.pod(), node.container()
        pod.runtime_handler = handler
        await engine.create_container(pod, container)
        container.pid = 4711
        with pytest.raises(RemoteError, match="its process is cloud-hypervisor"):
            await engine.start_container(pod, container)
        assert node.nic.netns == HOME
        await engine.stop_container(pod, container)
        assert is_untouched(node)
        pod.pid = 4711
        with pytest.raises(RemoteError, match="its process is cloud-hypervisor"):
            await engine.create_container(pod, node.container(2))
        assert is_untouched(node)


@on_loop
async def test_too_slow_is_a_no_that_is_undone(node: Node) -> None:
    """A create that takes longer than a third of the engine's patience is refused, and nothing stays claimed."""
    slow = node.slow_to_pin()
    async with node.engine(request_timeout_s=3.0) as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(RemoteError, match="retry"):
            await engine.create_container(node.pod(), node.container())
        slow.set()
        await until(lambda: not tuple(node.ledger.rows.values()) and not node.kernel.pods.pins())
        assert node.nic.link.altnames == ()
        await engine.create_container(node.pod(), node.container(2))
        assert len(tuple(node.ledger.rows.values())) == 1


@on_loop
async def test_a_slow_way_home_delays_nobody(node: Node) -> None:
    """Teardown is answered yes in time and done later; a create that needs the interface gets it or is told why."""
    async with node.engine(request_timeout_s=1.5) as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
        await engine.start_container(node.pod(), node.container())
        slow = threading.Event()
        bring_home = node.kernel.pods.bring_home

        def slowly(*arguments: Any) -> Any:
            slow.wait()
            return bring_home(*arguments)

        node.kernel.pods.bring_home = slowly  # type: ignore[method-assign]
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns != HOME
        with pytest.raises(RemoteError, match="being returned; retry"):
            await engine.create_container(node.pod(), node.container(2))
        slow.set()
        await until(lambda: node.nic.netns == HOME)
        await until(lambda: not tuple(node.ledger.rows.values()))
        await engine.create_container(node.pod(), node.container(3))


@on_loop
async def test_a_bug_of_ours_is_a_refusal(node: Node) -> None:
    """An exception that nobody foresaw stops the container, not the daemon."""

    def inventory(*, is_fresh: bool = False) -> Any:
        raise ZeroDivisionError

    sound, node.kernel.host.inventory = node.kernel.host.inventory, inventory  # type: ignore[method-assign]
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(RemoteError, match=r"internal error \(ZeroDivisionError\); see the log of nri-netdev"):
            await engine.create_container(node.pod(), node.container())
        node.kernel.host.inventory = sound  # type: ignore[method-assign]
        assert (await engine.create_container(node.pod(), node.container(2))).linux.net_devices


@on_loop
async def test_created_while_no_daemon_looked_and_not_yet_started(node: Node) -> None:
    """Such a container gets its interface at its start."""
    async with node.engine() as engine:
        await engine.run_pod_sandbox(node.pod())
        await engine.create_container(node.pod(), node.container())
        async with node.daemon():
            await engine.wait_plugin(timeout_s=20)
            assert node.nic.netns == HOME
            await engine.start_container(node.pod(), node.container())
            assert node.nic.netns == node.netns.ino
            assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]


@on_loop
async def test_an_engine_that_does_not_tell_names(node: Node) -> None:
    """A request by container name is refused rather than ignored; one for the pod is served."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        nameless = nri_pb2.Container(id="c1", pod_sandbox_id="p1")
        with pytest.raises(RemoteError, match="the engine does not tell what this one is called; ask for the pod"):
            await engine.create_container(node.pod(), nameless)
        labelled = nri_pb2.Container(id="c1", pod_sandbox_id="p1", labels={"io.kubernetes.container.name": "app"})
        assert (await engine.create_container(node.pod(), labelled)).linux.net_devices


@on_loop
@pytest.mark.parametrize("filler", ["", "x" * 8192], ids=["peeked", "decoded"])
async def test_an_engine_without_pod_sandboxes(node: Node, filler: str) -> None:
    """Docker's containers are pods of their own: one that asks is refused, however long the event; others run."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = nri_pb2.PodSandbox(id="d1", name="/web")
        container = nri_pb2.Container(id="d1", pod_sandbox_id="d1", name="/web", labels={"app": filler})
        assert not (await engine.create_container(pod, container)).ByteSize()
        container.annotations["nri-netdev.io/pod"] = "- ens1"
        with pytest.raises(RemoteError, match="nri-netdev: pod web, container web: a container without a pod sandbox"):
            await engine.create_container(pod, container)
        container.annotations["nri-netdev.io/pod"] = "- {}"
        with pytest.raises(RemoteError, match=r"nri-netdev\.io/pod"):
            await engine.create_container(pod, container)
        assert is_untouched(node)
        assert node.nic.netns == HOME


@on_loop
async def test_a_bug_in_a_hook_costs_no_more_than_its_event(node: Node) -> None:
    """The container that met it is refused with a reason, teardown goes on, and so does the connection."""

    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        for name in ("entries_of", "entries_by_container"):
            patch.setattr(hooks, name, fail)
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            await engine.run_pod_sandbox(node.pod())
            with pytest.raises(RemoteError, match=r"internal error \(ZeroDivisionError\)"):
                await engine.create_container(node.pod(), node.container())
            await engine.stop_pod_sandbox(node.pod())
            assert engine.plugins == ("10-nri-netdev",)


def test_the_daemon_subscribes_to_what_it_handles() -> None:
    """The mask is that of the table, so that subscription and handling cannot differ."""
    assert event_mask(*hooks.HANDLERS) == hooks.EVENTS
    assert {kind.name.lower() for kind in hooks.HANDLERS} == {handler.__name__ for handler in hooks.HANDLERS.values()}


@on_loop
async def test_what_cannot_be_handed_out_leaves_nothing(node: Node) -> None:
    """A container whose directory cannot be made is refused, and has no interface."""
    node.beside = Beside(handouts=FakeHandouts(is_full=True))
    pod = node.pod("- {interface: ens1, name: net1}")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.run_pod_sandbox(pod)
        with pytest.raises(RemoteError, match="no room"):
            await engine.create_container(pod, node.container())
        await until(lambda: not node.ledger.kept)
        assert not node.nic.link.altnames
