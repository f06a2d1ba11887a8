"""The ports of custody are what the shells have: the same methods, called the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from nri_netdev.custody import ports
from nri_netdev.shells.cni.plugin import Plugins
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.node import NodeKernel
from nri_netdev.shells.kernel.pidfds import Pidfds
from nri_netdev.shells.kernel.pods import Pods
from nri_netdev.shells.kernel.processes import Processes
from nri_netdev.shells.kernel.setups import Setups
from nri_netdev.shells.kernel.watch import Watch
from nri_netdev.shells.store.handouts import Handouts
from nri_netdev.shells.store.ledger import Ledger
from tests import fakes

PAIRS = (
    (ports.Host, Host, fakes.FakeHost),
    (ports.Pods, Pods, fakes.FakePods),
    (ports.Setups, Setups, fakes.FakeSetups),
    (ports.Processes, Processes, fakes.FakeProcesses),
    (ports.Pidfds, Pidfds, fakes.FakePidfds),
    (ports.Watch, Watch, fakes.FakeWatch),
    (ports.Kernel, NodeKernel, fakes.FakeKernel),
    (ports.Leasing, Plugins, fakes.FakePlugins),
    (ports.Store, Ledger, fakes.FakeLedger),
    (ports.HandoutStore, Handouts, None),
)


@pytest.mark.parametrize(("port", "real", "fake"), PAIRS, ids=lambda each: getattr(each, "__name__", "none"))
def test_what_is_real_and_what_plays_it_have_the_port(port: type, real: type, fake: type | None) -> None:
    """So that no test plays what is not there."""
    for name, method in vars(port).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        for each in (real, fake):
            if each is not None:
                assert kinds(getattr(each, name)) == kinds(method), (each, name)


def kinds(method: Callable[..., object]) -> list[tuple[object, bool]]:
    """How each parameter is passed, and whether it must be."""
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.kind, parameter.default is parameter.empty) for parameter in parameters]
