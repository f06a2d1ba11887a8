"""What is offered rests on what is there now, whatever has been told before."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nri_netdev.custody.evaluate import Asker, Evaluation, Evaluator
from nri_netdev.domain.annotations.grammars import Grammar
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Netns
from nri_netdev.domain.links import Inventory
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
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
