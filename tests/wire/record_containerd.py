"""Records a conversation with a real containerd: ``python -m tests.wire.record_containerd``.

Needs root and what `make e2e-tools` makes. Writes `tests/wire/recorded/containerd-<version>.json`, which
`tests/wire/test_recorded.py` replays.
"""

import tempfile
import threading
from pathlib import Path

import pytest
from google.protobuf.message import Message

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.methods import EVENTS_BEFORE_0_10
from nri_netdev.wire.session import Closed, Configured, EventKind, PluginSession, Request, Synchronized
from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import NRI_SOCKET, Containerd
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.wire.recording import RECORDED, Recording
from tests.wire.upstream.plugin import PluginOnSocket

ADJUSTMENT = nri_pb2.ContainerAdjustment(
    env=[nri_pb2.KeyValue(key="BIG", value="y" * 6_000)],
    linux=nri_pb2.LinuxContainerAdjustment(net_devices={"eth9": nri_pb2.LinuxNetDevice(name="net1")}),
)


def serve(plugin: PluginOnSocket, is_ready: threading.Event) -> None:
    """Give `feed` an interface, refuse `greedy`, and let all else be, until the engine ends."""
    plugin.reply(plugin.wait(Synchronized).request)
    is_ready.set()
    while not isinstance(event := plugin.wait(Request | Closed), Closed):
        answer: Message | None = None
        if event.kind is EventKind.CREATE_CONTAINER:
            if event.container.name == "greedy":
                plugin.refuse(event, "eth9 is taken")
                continue
            answer = nri_pb2.CreateContainerResponse(adjust=ADJUSTMENT)
        plugin.reply(event, answer)


def live(crictl: Crictl) -> None:
    """Take a pod through its life."""
    pod = crictl.run_pod("trader", namespace="desk")
    container = crictl.run(pod, "feed", envs={"BIG": "x" * 6_000})
    with pytest.raises(CriError, match="eth9 is taken"):
        crictl.create(pod, "greedy")
    crictl.stop(container)
    crictl.remove(container)
    crictl.stop_pod(pod)
    crictl.remove_pod(pod)


def record(directory: Path) -> Recording:
    """Run containerd and return what was said."""
    identity = {"name": "net", "idx": "10", "events": EVENTS_BEFORE_0_10}
    recording = Recording(engine="containerd", plugin=identity)
    with Machine(directory) as machine, Containerd(machine, is_debug=False) as engine:
        Node(machine).add_veth("eth9")
        session = PluginSession(**identity)
        is_ready = threading.Event()
        with PluginOnSocket(machine.path(NRI_SOCKET), session, recording) as plugin:
            recording.engine += f" {plugin.wait(Configured).runtime_version.removeprefix('v')}"
            server = threading.Thread(target=serve, args=(plugin, is_ready))
            server.start()
            is_ready.wait()
            live(Crictl(engine))
            engine.stop()
            server.join()
    return recording


def main() -> None:
    """Record, and write the file."""
    with tempfile.TemporaryDirectory() as directory:
        recording = record(Path(directory))
    recording.save(RECORDED / f"{recording.engine.replace(' ', '-')}.json")


if __name__ == "__main__":
    main()
