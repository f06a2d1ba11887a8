"""Which containers run without what they ask for, and what is done for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nri_netdev.custody.custody import Custody
from nri_netdev.daemon.missed import seek
from nri_netdev.domain.pods import Container, PodSandbox
from tests.world import World, new_world

KEY = "nri-netdev.io/container.app"


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()


def missing(world: World, text: str = "- ens1") -> tuple[PodSandbox, Container]:
    """A pod that asks for ens1, and its container, which runs; the daemon was never asked."""
    pod = replace(world.run_pod(), annotations={KEY: text})
    return pod, Container(id="c1", name="app", pod_id=pod.id, is_running=True)


def sought(world: World, pod: PodSandbox, container: Container, *, on_missed: str = "report") -> list[str]:
    """The interfaces that are given by the jobs that come of it."""
    jobs: list[Callable[[Custody], None]] = []
    seek(world.custody, [pod], [container], on_missed=on_missed, later=jobs.append)
    for job in jobs:
        job(world.custody)
    return [claim.ifname for claim in world.custody.claims]


def test_it_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """By its name, with what it lacks; nothing moves."""
    assert sought(world, *missing(world)) == []
    (record,) = [record for record in caplog.records if record.message == "container.missed"]
    fields = vars(record)["fields"]
    assert fields["container"] == "app"
    assert "it runs without ens1" in fields["reason"]


def test_it_is_attached(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where the operator wants it."""
    assert sought(world, *missing(world), on_missed="attach") == ["ens1"]
    assert "container.attached" in caplog.messages


@pytest.mark.parametrize("on_missed", ["report", "attach"])
def test_what_cannot_be_read_is_told(world: World, caplog: pytest.LogCaptureFixture, on_missed: str) -> None:
    """With the reason."""
    assert sought(world, *missing(world, "- {"), on_missed=on_missed) == []
    assert caplog.messages == ["container.missed"]


def test_who_misses_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Containers that do not run, of other pods, and that ask for nothing."""
    pod, container = missing(world)
    for one, other in (
        (pod, replace(container, is_running=False)),
        (pod, replace(container, pod_id="another")),
        (pod, replace(container, name="sidecar")),
        (replace(pod, annotations={}), container),
    ):
        assert sought(world, one, other, on_missed="attach") == []
    assert caplog.messages == []
