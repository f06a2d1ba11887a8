"""What the tests against upstream's engine side share: a pod, a container, and having it created."""

from concurrent.futures import Future

from google.protobuf.message import Message

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import Request
from tests.wire.upstream.engine import PATIENCE_S, Created, Engine
from tests.wire.upstream.plugin import PluginOnSocket

POD = nri_pb2.PodSandbox(id="pod-1", name="trader", namespace="desk", uid="u-1")
CONTAINER = nri_pb2.Container(id="ctr-1", pod_sandbox_id="pod-1", name="feed", args=["/feed"], env=["PATH=/bin"])
NET_DEVICES = {"eth9": nri_pb2.LinuxNetDevice(name="net1")}


def adjust_with(
    *, net_devices: dict[str, nri_pb2.LinuxNetDevice] | None = None, env: dict[str, str] | None = None
) -> nri_pb2.CreateContainerResponse:
    """An answer to CreateContainer."""
    variables = [nri_pb2.KeyValue(key=key, value=value) for key, value in (env or {}).items()]
    linux = nri_pb2.LinuxContainerAdjustment(net_devices=net_devices or {})
    return nri_pb2.CreateContainerResponse(adjust=nri_pb2.ContainerAdjustment(env=variables, linux=linux))


def begin_create(engine: Engine) -> Future[Created]:
    """Have a container created; the plugins are to answer."""
    return engine.begin("CreateContainer", POD, CONTAINER)


def create(engine: Engine, plugin: PluginOnSocket, answer: Message | None = None) -> Created:
    """Have a container created, answered by one plugin."""
    creation = begin_create(engine)
    plugin.reply(plugin.wait(Request), answer)
    return creation.result(PATIENCE_S)
