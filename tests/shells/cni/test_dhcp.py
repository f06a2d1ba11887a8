"""The dhcp plugin of CNI, with its daemon, and a server in another netns: addresses of a real network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.shells.cni.plugin import Plugins
from tests.e2e.wait import wait_until
from tests.shells.cni.test_plugin import lease
from tests.shells.cni.tools import real
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

_CONFIGURATION = """
start 198.51.100.20
end 198.51.100.29
interface server0
lease_file {leases}
pidfile {directory}/udhcpd.pid
option subnet 255.255.255.0
option router 198.51.100.1
option lease 3600
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Net, str]]:
    """A netns with `net1`, on whose network a server gives addresses; and the socket of the plugin's daemon."""
    server, pod = Net(), Net()
    pod.ip("link add net1 type veth peer name server0")
    pod.ip(f"link set server0 netns {server.path}")
    server.ip("address add 198.51.100.1/24 dev server0")
    server.ip("link set server0 up")
    pod.ip("link set net1 up")
    leases, socket = tmp_path / "leases", tmp_path / "dhcp.sock"
    leases.touch()
    configuration = tmp_path / "udhcpd.conf"
    configuration.write_text(_CONFIGURATION.format(leases=leases, directory=tmp_path))
    with ExitStack() as stack:
        for command in (
            ["nsenter", f"--net={server.path}", "busybox", "udhcpd", "-f", "-a", "100", str(configuration)],
            [str(real("dhcp")), "daemon", "-socketpath", str(socket)],
        ):
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
        wait_until(socket.exists, timeout_s=10, what="the socket of the daemon")
        yield pod, str(socket)


def test_an_address_of_the_network(network: tuple[Net, str]) -> None:
    """It comes with the gateway, and is given back."""
    pod, socket = network
    plugins = Plugins((real("dhcp").parent,))
    asked = replace(lease(1, type="dhcp", daemonSocketPath=socket), netns_path=pod.path)
    result = plugins.add(asked)

    [address] = result.addresses
    assert address.address.startswith("198.51.100.2")
    assert address.address.endswith("/24")
    assert result.gateways == ("198.51.100.1",)
    plugins.delete(asked)
    plugins.delete(asked)
