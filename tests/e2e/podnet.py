"""The network of the pods: eth0 by CNI's ptp plugin, in both families."""

import json
from pathlib import Path

from tests.e2e import tools
from tests.e2e.machine import Machine

SUBNETS = ("10.88.0.0/16", "fd00:88::/64")
CNI_BIN = Path("/opt/cni/bin")
CNI_CONF = Path("/etc/cni/net.d")

# ptp waits a second or more for duplicate address detection of the pod's eth0. The sysctl is put back
# before the pod runs: interfaces that arrive later meet the kernel's defaults.
_PTP = f"""#!/bin/sh
accept_dad() {{
    [ "$CNI_COMMAND" != ADD ] || nsenter --net="$CNI_NETNS" sh -c \\
        "echo $1 > /proc/sys/net/ipv6/conf/default/accept_dad"
}}
accept_dad 0
{CNI_BIN}/ptp
status=$?
accept_dad 1
exit $status
"""

_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp-at-once",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": subnet}] for subnet in SUBNETS],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }
    ],
}


def install(machine: Machine) -> None:
    """Put the CNI plugins and their configuration at their default paths on a machine."""
    for directory in (CNI_BIN, CNI_CONF):
        machine.path(directory).mkdir(parents=True, exist_ok=True)
    for plugin in ("ptp", "host-local", "loopback"):
        link = machine.path(CNI_BIN / plugin)
        link.unlink(missing_ok=True)
        link.symlink_to(tools.BIN / plugin)
    wrapper = machine.path(CNI_BIN / "ptp-at-once")
    wrapper.write_text(_PTP)
    wrapper.chmod(0o755)
    machine.path(CNI_CONF / "10-pods.conflist").write_text(json.dumps(_NETWORK))
