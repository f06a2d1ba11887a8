"""A daemon that hangs: what becomes of a request that it leaves unanswered depends on the engine's NRI."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.node import Daemon, Node

pytestmark = pytest.mark.matrix

REQUEST = {"nri-netdev.io/container.app": "- {interface: nic0, name: net1}"}
FIRST_WITH_FAILURE_POLICY = (0, 12, 4)


@contextlib.contextmanager
def hanging(daemon: Daemon) -> Iterator[None]:
    """Stop it on the spot; afterwards it goes on, and registers again."""
    daemon.send(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.send(signal.SIGCONT)
    daemon.wait_registered(count=2)


def has_failure_policy(engine: Engine) -> bool:
    """Whether its NRI fails, if a plugin asks for that, what the plugin does not answer."""
    return tuple(map(int, engine.nri_version.split("."))) >= FIRST_WITH_FAILURE_POLICY


def test_no_container_runs_without_its_interface(engine: Engine, node: Node, crictl: Crictl) -> None:
    """Either the engine does not create it, or it gets its interface at its start, before its process runs."""
    node.add_veth("nic0")
    is_refused = has_failure_policy(engine)
    refusal = pytest.raises(CriError, match="failed to handle CreateContainer request")
    with node.daemon() as daemon:
        pod = crictl.run_pod("web", annotations=REQUEST)
        with hanging(daemon), refusal if is_refused else contextlib.nullcontext():
            container = crictl.create(pod, "app")
        if is_refused:
            container = crictl.create(pod, "app")
        crictl.start(container)

        assert [link["ifname"] for link in crictl.ip_json(container, "link", "show", "dev", "net1")] == ["net1"]
