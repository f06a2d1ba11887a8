"""What upstream makes of a handout: mounts, variables, devices and the rules of their cgroup, in the OCI spec."""

import pytest
from google.protobuf.message import Message

from nri_netdev.domain.metadata import MOUNT_POINT, Handout
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.wire.session import Request
from tests.wire.upstream.conftest import Connect
from tests.wire.upstream.engine import PATIENCE_S, Created, Engine, EngineError
from tests.wire.upstream.play import CONTAINER, POD, adjust_with
from tests.wire.upstream.plugin import PluginOnSocket

pytestmark = pytest.mark.upstream

UVERBS = CharDevice(path="/dev/infiniband/uverbs0", major=231, minor=192)
HANDOUT = Handout(source="/run/nri-netdev/pods/c1", env={"NRI_NETDEV_A": "1"}, devices=(UVERBS, UVERBS))


def create(engine: Engine, *answers: tuple[PluginOnSocket, Message], env: tuple[str, ...] = ()) -> Created:
    """Have a container created that has variables already, and is answered by plugins in turn."""
    container = nri_pb2.Container()
    container.CopyFrom(CONTAINER)
    container.env.extend(env)
    creation = engine.begin("CreateContainer", POD, container)
    for plugin, answer in answers:
        plugin.reply(plugin.wait(Request), answer)
    return creation.result(PATIENCE_S)


def test_the_spec_of_a_container(engine: Engine, connect: Connect) -> None:
    """A device becomes a node and a rule to read and write it; what the container had of the same name is replaced."""
    created = create(engine, (connect(engine), adjustment([], HANDOUT)), env=("NRI_NETDEV_A=0", "B=2"))
    spec = created.spec
    [mount] = [one for one in spec["mounts"] if one["destination"] == MOUNT_POINT]
    assert mount == {
        "destination": MOUNT_POINT,
        "type": "bind",
        "source": "/run/nri-netdev/pods/c1",
        "options": ["bind", "ro", "rprivate", "nosuid", "nodev", "noexec"],
    }
    assert [one for one in spec["process"]["env"] if one.startswith("NRI")] == ["NRI_NETDEV_A=1"]
    assert spec["linux"]["devices"] == [
        {"path": "/dev/infiniband/uverbs0", "type": "c", "major": 231, "minor": 192, "fileMode": 0o666}
    ]
    rule = {"allow": True, "type": "c", "major": 231, "minor": 192, "access": "rw"}
    assert [one for one in spec["linux"]["resources"]["devices"] if one.get("major") == 231] == [rule]


def test_another_plugin_with_the_same_variable(engine: Engine, connect: Connect) -> None:
    """Then the container is not created, as with an interface that two plugins ask for."""
    ours, other = connect(engine), connect(engine, name="other", idx="20")
    with pytest.raises(EngineError, match='"20-other" and "10-net" both tried to set Env NRI_NETDEV_A'):
        create(engine, (ours, adjustment([], HANDOUT)), (other, adjust_with(env={"NRI_NETDEV_A": "2"})))


def test_a_device_named_twice(engine: Engine, connect: Connect) -> None:
    """Upstream takes the second for another plugin's, so an adjustment has it once."""
    answer = adjustment([], HANDOUT)
    answer.adjust.linux.devices.append(answer.adjust.linux.devices[0])
    with pytest.raises(EngineError, match=r'"10-net" and "10-net" both tried to set .*/dev/infiniband/uverbs0'):
        create(engine, (connect(engine), answer))
