"""One daemon after the other on a real engine, while containers are created: none is without its interface."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.node import Daemon, Node
from tests.e2e.wait import wait_until

KEY = "nri-netdev.io/container.app"
ROLLS = 6


class Stream:
    """Containers with an interface, one after the other, each looked into and deleted."""

    def __init__(self, crictl: Crictl, node: Node) -> None:
        self._crictl = crictl
        self._node = node
        self._is_over = threading.Event()
        self.count = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Make them until told to end."""
        for number in itertools.count():
            if self._is_over.is_set():
                return
            try:
                self._live(f"web{number}")
            except Exception as error:  # noqa: BLE001 - told by the test
                self.wrong.append(f"web{number}: {error}")
            self.count = number + 1

    def _live(self, name: str) -> None:
        pod = self._crictl.run_pod(name, annotations={KEY: "- {interface: nic0, name: net1, mtu: 1400}"})
        container = self._crictl.run(pod, "app")
        (link,) = self._crictl.ip_json(container, "addr", "show", "net1")
        assert link["mtu"] == 1400, link
        assert "NRI_NETDEV_NET1_HOST=nic0" in self._crictl.exec(container, ["env"])
        self._crictl.delete_pod(pod)
        wait_until(lambda: self._node.link("nic0"), timeout_s=10, what=f"nic0 at home after {name}")

    @contextmanager
    def running(self) -> Iterator["Stream"]:
        """Go on for as long as the block lasts."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join()


@pytest.mark.matrix
@pytest.mark.parametrize("ending", ["terminate", "kill9"])
def test_while_daemons_replace_each_other(node: Node, crictl: Crictl, engine: Engine, ending: str) -> None:
    """The next one stands by, the one that serves ends: what is created then has its interface, and comes home."""
    node.add_veth("nic0", addresses=["198.51.100.7/24"])
    stream = Stream(crictl, node)
    with ExitStack() as daemons:
        serving = daemons.enter_context(node.daemon())
        with stream.running():
            for _ in range(ROLLS):
                begun = stream.count
                wait_until(lambda: stream.count > begun + 1, timeout_s=60, what="containers come and go")  # noqa: B023
                following = daemons.enter_context(node.daemon())
                wait_standing_by(following)
                getattr(serving, ending)()
                following.wait_logged("daemon.took_over")
                serving = following
    assert stream.wrong == []
    assert stream.count > ROLLS
    assert node.addresses("nic0") == ["198.51.100.7/24"]
    assert "both tried to set" not in engine.log_text()


def wait_standing_by(daemon: Daemon) -> None:
    """Wait until it would be asked to take over."""
    daemon.wait_logged("daemon.stands_by")
