"""What is offered rests on what is there now, whatever has been told before."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from nri_netdev.custody.evaluate import Asker, Evaluation, Evaluator
from nri_netdev.domain.annotations.grammars import Grammar
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Netns
from nri_netdev.domain.links import Inventory
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import Reason, RequestError
from tests.fakes import FakeHost, FakeKernel

POD = PodSandbox(id="pod", uid="uid", name="web", namespace="default")
CONTAINER = Container(id="c1", pod_id="pod", name="app")


class MirroredHost(FakeHost):
    """A host whose changes cause no events: its inventory is cached until it is asked to read anew."""

    def __init__(self, node: FakeKernel) -> None:
        super().__init__(node)
        self.cached: Inventory | None = None
        self.readings = 0

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        if is_fresh or self.cached is None:
            self.readings += 1
            self.cached = super().inventory()
        return self.cached


class Mirrored(FakeKernel):
    """A node with such a host."""

    def __init__(self) -> None:
        super().__init__()
        self.host: MirroredHost = MirroredHost(self)

    @property
    def readings(self) -> int:
        return self.host.readings


def ask(kernel: FakeKernel, *interfaces: str) -> Evaluation:
    """Evaluate a request for these."""
    namespace = kernel.new_netns()
    netns = kernel.pods.netns(namespace.path or "")
    assert isinstance(netns, Netns)
    entries = [
        Entry(interface=name, key="nri-netdev.io/pod", number=number, scope=Scope.POD, grammar=Grammar.NATIVE)
        for number, name in enumerate(interfaces, 1)
    ]
    asker = Asker(pod=POD, container=CONTAINER, netns=netns)
    return Evaluator(kernel, now_s=time.time).evaluate(entries, asker, taken=())


def test_what_was_told_is_enough_for_what_is_as_told() -> None:
    """Nothing is read anew for an interface that is what it was."""
    kernel = Mirrored()
    kernel.add("ens1")
    assert ask(kernel, "ens1").grants[0].link.ifname == "ens1"
    assert ask(kernel, "ens1").claims[0].snapshot.link.ifname == "ens1"
    assert kernel.readings == 1


def test_nothing_is_refused_for_what_was_told_before() -> None:
    """An interface that nobody told of is found."""
    kernel = Mirrored()
    kernel.add("ens1")
    ask(kernel, "ens1")
    kernel.add("ens2")
    assert [claim.ifname for claim in ask(kernel, "ens1", "ens2").claims] == ["ens1", "ens2"]
    with pytest.raises(RequestError, match='interface "ens3" is not on this node'):
        ask(kernel, "ens3")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"master": 4242}, "is enslaved to"),
        ({"kind": "bridge"}, "never lets leave"),
        ({"ifname": "other"}, "is not on this node"),
    ],
)
def test_nothing_is_given_for_what_was_told_before(change: dict[str, object], reason: str) -> None:
    """What an interface has become counts, though the kernel did not tell."""
    kernel = Mirrored()
    device = kernel.add("ens1")
    ask(kernel, "ens1")
    kernel.change(device, **change)
    with pytest.raises(RequestError, match=reason):
        ask(kernel, "ens1")


def asker_in(kernel: FakeKernel, *, handler: str = "", pods_pid: int = 0, pid: int = 0, runs: bool = False) -> Asker:
    """A container of a new pod, with these processes in its netns."""
    namespace = kernel.new_netns(path="/run/netns/vm", processes={pods_pid, pid} - {0})
    pod = replace(POD, runtime_handler=handler, pid=pods_pid)
    container = replace(CONTAINER, pid=pid, is_running=runs)
    return Asker(pod=pod, container=container, netns=kernel.pods.netns(namespace.path or ""))


ASKED = (Entry(interface="ens1", key="nri-netdev.io/pod", number=1, scope=Scope.POD, grammar=Grammar.NATIVE),)
QEMU, PAUSE, WORKLOAD = 71, 72, 73
NAMES = {
    QEMU: frozenset({"qemu-system-x86_64", "qemu-system-x86"}),
    PAUSE: frozenset({"pause"}),
    WORKLOAD: frozenset({"qemu-system-x86_64"}),
}


@pytest.mark.parametrize(
    ("fields", "is_guest"),
    [
        ({"handler": "kata"}, True),
        ({"handler": "vm", "pods_pid": QEMU}, True),
        ({"pods_pid": QEMU}, True),
        ({"handler": "vm", "pid": QEMU}, True),
        ({"pods_pid": PAUSE, "pid": PAUSE}, False),
        ({"pods_pid": PAUSE, "pid": WORKLOAD, "runs": True}, False),
        ({"pid": WORKLOAD, "runs": True}, False),
        ({}, False),
    ],
)
def test_guests_are_given_nothing(fields: dict[str, Any], is_guest: bool) -> None:
    """By the handler, and by processes that precede the container's own program, which may be called anything."""
    kernel = FakeKernel()
    kernel.add("ens1")
    kernel.process_names = dict(NAMES)
    asker, evaluator = asker_in(kernel, **fields), Evaluator(kernel, now_s=time.time)
    if not is_guest:
        evaluator.check_runtime(ASKED, asker)
        assert evaluator.evaluate(ASKED, asker, taken=()).grants
        return
    for refuse in (evaluator.check_runtime, partial(evaluator.evaluate, taken=())):
        with pytest.raises(RequestError, match="runs containers as guests") as caught:
            refuse(ASKED, asker)
        assert caught.value.reason is Reason.RUNTIME


def test_a_process_elsewhere_shows_nothing() -> None:
    """The pid of a pod's process that has ended may be another's by now."""
    kernel = FakeKernel()
    kernel.process_names = dict(NAMES)
    asker = asker_in(kernel, pods_pid=PAUSE)
    kernel.new_netns(processes=[QEMU])
    Evaluator(kernel, now_s=time.time).check_runtime(ASKED, replace(asker, pod=replace(asker.pod, pid=QEMU)))


def test_a_guest_is_remembered() -> None:
    """CRI-O tells of no process before a container starts; the handler's next one is refused when it is created."""
    kernel = FakeKernel()
    kernel.process_names = dict(NAMES)
    late, early = asker_in(kernel, handler="vm", pid=QEMU), asker_in(kernel, handler="vm")
    evaluator = Evaluator(kernel, now_s=time.time)
    evaluator.check_runtime(ASKED, early)
    with pytest.raises(RequestError):
        evaluator.check_runtime(ASKED, late)
    with pytest.raises(RequestError, match="its process is qemu-system-x86"):
        evaluator.check_runtime(ASKED, early)
    evaluator.check_runtime(ASKED, replace(early, pod=replace(early.pod, runtime_handler="runc")))
    evaluator.forget_runtimes()
    evaluator.check_runtime(ASKED, early)


def test_what_changes_all_the_time_is_refused() -> None:
    """An interface that is another each time one looks is not given; the reason says what to do."""

    class Restless(FakeHost):
        def inventory(self, *, is_fresh: bool = False) -> Inventory:
            found = super().inventory(is_fresh=is_fresh)
            return replace(found, links=tuple(replace(link, alias="before") for link in found.links))

    kernel = FakeKernel()
    kernel.host = Restless(kernel)
    kernel.add("ens1")
    with pytest.raises(RequestError, match="are being changed just now; retry"):
        ask(kernel, "ens1")
