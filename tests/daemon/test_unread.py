"""Keys that nobody reads are told when it is clear that nobody will, once, and no longer than it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from nri_netdev.cli.status_page import page
from nri_netdev.daemon import unread
from nri_netdev.daemon.unread import FAR_S, MOST_KEYS, MOST_PODS, NEAR_S, UnreadKeys
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.errors import RemoteError
from nri_netdev.log import observed
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.observe import status
from nri_netdev.shells.observe.metrics import UNREAD, Meters
from nri_netdev.testing.engine import Engine
from tests.daemon.node import Node, on_loop, until

OWN = "nri-netdev.io/container."


def pod(*keys: str, pod_id: str = "p1", **fields: Any) -> PodSandbox:
    """A pod with these keys; what has no slash is a container's name."""
    annotations = {key if "/" in key else OWN + key: "[ens1]" for key in keys}
    return PodSandbox(id=pod_id, uid="u1", namespace="default", name="web", annotations=annotations, **fields)


def container(name: str, container_id: str = "c", *, is_running: bool = True) -> Container:
    return Container(id=container_id, name=name, pod_id="p1", is_running=is_running)


class Watch:
    """The keys under watch, a clock, and what is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.meters = Meters()
        self.told: list[dict[str, object]] = []
        self.unread = UnreadKeys(lambda: self.now_s)

    def hear(self, name: str, fields: Any) -> None:
        assert name == "key.unread"
        self.told.append(dict(fields))
        self.meters.count_event(name, fields)

    def come(self, *names: str) -> None:
        for name in names:
            self.unread.container_comes("p1", name)
            self.unread.container_starts("p1", f"id-{name}")

    def after(self, seconds: float) -> list[str]:
        """The keys in the status when so much time has gone by."""
        self.now_s += seconds
        self.unread.tick()
        return self.keys

    @property
    def keys(self) -> list[str]:
        return [one.key.removeprefix(OWN) for one in self.unread.keys]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    with observed(watch.hear):
        yield watch


def test_a_slip_is_told_when_no_further_container_comes(watch: Watch) -> None:
    """Once, with what the pod has and what may be meant."""
    watch.unread.pod_runs(pod("ap", "log"))
    watch.come("app")
    assert watch.after(NEAR_S - 1) == []
    watch.come("log")
    assert watch.after(NEAR_S - 1) == []
    assert watch.after(1) == ["ap"]
    assert watch.after(NEAR_S) == ["ap"]
    reason = 'no container called "ap" has come yet; the pod has "app", "log" (did you mean "app"?)'
    assert watch.told == [
        {
            "pod": "default/web",
            "pod_uid": "u1",
            "key": "nri-netdev.io/container.ap",
            "why": "container",
            "reason": reason,
            "containers": ("app", "log"),
        }
    ]
    watch.unread.pod_ends("p1")
    assert (watch.keys, len(watch.told)) == ([], 1)
    assert watch.meters.counters == {(UNREAD.name, ("container",)): 1}


def test_a_name_that_is_near_none_may_come_late(watch: Watch) -> None:
    """An image can take minutes."""
    watch.unread.pod_runs(pod("metrics"))
    watch.come("app")
    assert watch.after(FAR_S - 1) == []
    assert watch.after(1) == ["metrics"]
    assert watch.told[0]["reason"] == 'no container called "metrics" has come yet; the pod has "app"'


def test_a_container_that_comes_after_all_is_no_longer_told(watch: Watch) -> None:
    """And what came is never told, though others are waited for."""
    watch.unread.pod_runs(pod("app2", "app3"))
    watch.come("app")
    assert watch.after(NEAR_S) == ["app2", "app3"]
    watch.come("app2")
    assert watch.keys == ["app3"]
    watch.come("app3")
    assert watch.keys == []
    watch.unread.pod_ends("p1")
    assert len(watch.told) == 2


def test_a_name_like_one_that_has_its_own_key_is_no_slip(watch: Watch) -> None:
    """`app1` and `app2` with a key each: the second is on its way."""
    watch.unread.pod_runs(pod("app1", "app2"))
    watch.come("app1")
    assert watch.after(NEAR_S) == []
    assert watch.after(FAR_S) == ["app2"]


def test_nothing_is_told_while_nothing_runs(watch: Watch) -> None:
    """The pod may be at its beginning, or all of it waits for a restart."""
    watch.unread.pod_runs(pod("ap"))
    assert watch.after(FAR_S) == []
    watch.unread.container_comes("p1", "app")
    assert watch.after(FAR_S) == []
    watch.unread.container_starts("p1", "c1")
    watch.unread.container_ends("p1", "c1")
    assert watch.after(FAR_S) == []
    watch.unread.container_starts("p1", "c2")
    assert watch.after(0) == ["ap"]


def test_a_container_that_restarts_delays_nothing(watch: Watch) -> None:
    """It is not a further one."""
    watch.unread.pod_runs(pod("ap"))
    watch.come("app")
    watch.after(NEAR_S - 1)
    watch.come("app")
    assert watch.after(1) == ["ap"]


def test_it_is_certain_when_the_pod_ends(watch: Watch) -> None:
    """Told then; not of a pod that had no container at all, which tells nothing."""
    watch.unread.pod_runs(pod("metrics", "app"))
    watch.come("app")
    watch.unread.pod_ends("p1")
    reason = 'the pod has ended, and no container called "metrics" came; it had "app"'
    assert [one["reason"] for one in watch.told] == [reason]
    assert watch.keys == []
    watch.unread.pod_runs(pod("metrics"))
    watch.unread.pod_ends("p1")
    watch.unread.pod_ends("p1")
    assert len(watch.told) == 1


def test_a_key_that_no_grammar_has_is_told_at_once(watch: Watch) -> None:
    """Until the pod ends, whether the pod's containers are refused for it or start without."""
    watch.unread.pod_runs(pod("nri-netdev.io/contianer.app", "network-devices.nri.io/pods", "nri-netdev.iox/pod"))
    assert watch.keys == ["network-devices.nri.io/pods", "nri-netdev.io/contianer.app"]
    assert [one["why"] for one in watch.told] == ["unknown", "unknown"]
    assert "did you mean" in str(watch.told[1]["reason"])
    watch.come("app")
    assert len(watch.keys) == 2
    watch.unread.pod_ends("p1")
    assert watch.keys == []
    assert len(watch.told) == 2


def test_pods_whose_keys_are_all_read_are_not_watched(watch: Watch) -> None:
    """Neither by pod-level keys nor after their containers have come."""
    watch.unread.pod_runs(pod("nri-netdev.io/pod", "network-devices.nri.io"))
    watch.unread.pod_runs(pod("app", "network-devices.nri.io/container.app", pod_id="p1"))
    watch.come("app", "other")
    assert watch.after(FAR_S) == []
    watch.unread.pod_ends("p1")
    assert watch.told == []


def test_an_engine_that_tells_no_names(watch: Watch) -> None:
    """Any of its containers may be the one."""
    watch.unread.pod_runs(pod("ap"))
    watch.come("")
    assert watch.after(FAR_S) == []
    watch.unread.pod_ends("p1")
    assert watch.told == []


# -- what was there before -----------------------------------------------------------------------------------------


def test_of_a_pod_that_was_there_before_only_slips_are_told(watch: Watch) -> None:
    """An engine does not list the containers that have ended: `setup` may have been one."""
    watch.unread.synchronize([pod("ap", "setup", netns_path="/n")], [container("app")])
    assert watch.after(NEAR_S - 1) == []
    assert watch.after(1) == ["ap"]
    assert watch.after(FAR_S) == ["ap"]
    watch.unread.pod_ends("p1")
    assert len(watch.told) == 1


def test_what_is_known_outlives_the_connection(watch: Watch) -> None:
    """Nothing is told twice, what came has come, and what the engine does not list is gone."""
    watch.unread.pod_runs(pod("ap", "init"))
    watch.come("init", "app")
    watch.unread.pod_runs(pod("ap", pod_id="p2"))
    assert watch.after(NEAR_S) == ["ap"]
    watch.unread.synchronize([pod("ap", "init")], [container("app")])
    assert watch.after(FAR_S) == ["ap"]
    watch.unread.synchronize([pod("ap", "init")], [container("app"), container("ap")])
    assert watch.keys == []
    watch.unread.synchronize([], [])
    assert watch.after(FAR_S) == []
    assert len(watch.told) == 1


def test_a_pod_that_only_begins_when_the_engine_lists_it(watch: Watch) -> None:
    """Its containers are still to come."""
    watch.unread.synchronize([pod("app", netns_path="/n")], [])
    watch.come("app")
    assert watch.after(FAR_S) == []


def test_a_pod_that_has_ended_and_is_listed_is_passed_over(watch: Watch) -> None:
    """No event will come that would end its watch."""
    watch.unread.synchronize([pod("ap", "nri-netdev.io/x")], [])
    assert watch.told == []


# -- bounds --------------------------------------------------------------------------------------------------------


def test_pods_and_keys_are_bounded(watch: Watch) -> None:
    """The oldest pods are dropped; of a pod the first keys are watched."""
    for number in range(MOST_PODS + 5):
        watch.unread.pod_runs(pod("nri-netdev.io/x", pod_id=f"p{number}"))
    assert len(watch.keys) == MOST_PODS
    watch.unread.synchronize([], [])
    watch.unread.pod_runs(pod(*(f"nri-netdev.io/x{number}" for number in range(MOST_KEYS + 5))))
    assert len(watch.keys) == MOST_KEYS


def test_what_others_wrote_is_quoted(watch: Watch) -> None:
    """A key reaches a terminal by `status`."""
    watch.unread.pod_runs(pod("nri-netdev.io/\x1b[2J"))
    [one] = watch.unread.keys
    assert one.key == '"nri-netdev.io/\\x1b[2J"'


# -- in a daemon ---------------------------------------------------------------------------------------------------


def test_a_daemon_tells(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in a container's name is in status and metrics while it is so; one in a key is refused, and told too."""
    monkeypatch.setattr(unread, "NEAR_S", 0.0)
    slip = nri_pb2.PodSandbox(id="p1", name="web", namespace="default", annotations={OWN + "ap": "[]"})
    typo = nri_pb2.PodSandbox(id="p2", name="db", namespace="default", annotations={"nri-netdev.io/contianer.a": ""})

    async def document() -> status.Document:
        return await asyncio.to_thread(status.read, node.settings.run_dir)

    @on_loop
    async def check(node: Node) -> None:
        told: list[str] = []

        def hear(name: str, fields: Any) -> None:
            told.extend([fields["key"]] if name == "key.unread" else [])

        with observed(hear):
            async with node.engine() as engine, node.daemon():
                await engine.wait_plugin()
                for message in (slip, typo):
                    await engine.run_pod_sandbox(message)
                app = node.container()
                assert not (await engine.create_container(slip, app)).ByteSize()
                await engine.start_container(slip, app)
                with pytest.raises(RemoteError, match="unknown annotation key"):
                    await engine.create_container(typo, node.container(2, "p2"))
                await until(lambda: len(told) == 2)
                await see(engine)
        assert told == ["nri-netdev.io/contianer.a", OWN + "ap"]

    async def see(engine: Engine) -> None:
        shown = await document()
        assert shown["unread"]["count"] == 2
        lines = page(shown, now_s=shown["started_s"]).splitlines()
        assert "unread      2 annotation keys" in lines
        assert any("default/web, annotation nri-netdev.io/container.ap: no container" in line for line in lines)
        assert any("default/db, annotation nri-netdev.io/contianer.a: unknown" in line for line in lines)
        late = nri_pb2.Container(id="c9", pod_sandbox_id="p1", name="ap")
        await engine.create_container(slip, late)
        await engine.stop_pod_sandbox(typo)
        assert (await document())["unread"] == {"count": 0, "keys": []}

    check(node)


@on_loop
async def test_a_daemon_that_starts_late_knows_the_keys_that_nobody_reads(node: Node) -> None:
    """From the engine's list."""
    typo = node.pod(None)
    typo.annotations["network-devices.nri.io/pods"] = "- hostIf: ens1"
    async with node.engine() as engine:
        await engine.run_pod_sandbox(typo)
        async with node.daemon():
            await engine.wait_plugin(timeout_s=20)
            keys: list[str] = []
            async with asyncio.timeout(20):  # the engine has its answer before the list is looked through
                while not keys:
                    shown = await asyncio.to_thread(status.read, node.settings.run_dir)
                    keys = [one["key"] for one in shown["unread"]["keys"]]
            assert keys == ["network-devices.nri.io/pods"]


@on_loop
async def test_what_is_given_as_prepared_has_come(node: Node) -> None:
    """The key is not waited for any more, though its container is answered without being decoded."""
    ended: list[str] = []
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = node.pod()
        pod.annotations[OWN + "metrics"] = "[]"
        await engine.run_pod_sandbox(pod)
        await until(lambda: node.nic.link.altnames)
        await engine.create_container(pod, node.container())
        with observed(lambda name, fields: ended.append(str(fields["key"])) if name == "key.unread" else None):
            await engine.stop_pod_sandbox(pod)
        assert ended == [OWN + "metrics"]
