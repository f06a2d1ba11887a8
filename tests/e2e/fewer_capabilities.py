"""An OCI runtime for machines whose root lacks some capability or cgroup: it asks for no more than there are.

CRI-O gives a privileged container every capability that is known, and the runtime fails where one of them is not to be
had. containerd gives those that it has itself. So it is with the limits of huge pages, which the kubelet always sets,
where no hierarchy of cgroups has them, and with an OOM score below one's own. Run as ``fewer_capabilities.py RUNTIME
ARGUMENTS…``.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.machine import Machine

_KINDS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def write_wrapper(machine: "Machine", program: Path) -> Path:
    """Write a program that runs an OCI runtime through this module, and return its path."""
    path = machine.new_file(f"fewer-{program.name}", ".sh")
    environment = f"PYTHONPATH='{Path(__file__).parents[2]}'"
    path.write_text(f"#!/bin/sh\n{environment} exec '{sys.executable}' -m {__name__} '{program}' \"$@\"\n")
    path.chmod(0o755)
    return path


def _fewer(config: Path) -> None:
    spec = json.loads(config.read_text())
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    lacking = {_NAMES[bit] for bit in range(last + 1) if not int(status["CapBnd"], 16) >> bit & 1}
    capabilities = spec.get("process", spec).get("capabilities", {})
    for kind in _KINDS:
        capabilities[kind] = [name for name in capabilities.get(kind, []) if name not in lacking]
    process = spec.get("process", {})
    if "oomScoreAdj" in process and "CAP_SYS_RESOURCE" in lacking:
        process["oomScoreAdj"] = max(process["oomScoreAdj"], int(Path("/proc/self/oom_score_adj").read_text()))
    if not any(map(Path.exists, _HUGETLB)):
        spec.get("linux", {}).get("resources", {}).pop("hugepageLimits", None)
    config.write_text(json.dumps(spec))


_HUGETLB = (Path("/sys/fs/cgroup/hugetlb"), Path("/sys/fs/cgroup/cgroup.controllers"))
"""What is there where huge pages can be limited."""
_HEADER = (  # linux/capability.h
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
    "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
_NAMES = [f"CAP_{name}" for name in _HEADER.split()]


def _after(arguments: list[str], *options: str) -> str:
    """The value of an option, in either spelling of it."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in options:
            return value or following
    return ""


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "create" in arguments:
        _fewer(Path(_after(arguments, "--bundle", "-b") or ".") / "config.json")
    elif "exec" in arguments and (process := _after(arguments, "--process", "-p")):
        _fewer(Path(process))
    os.execv(arguments[0], arguments)  # noqa: S606 - it becomes the runtime
