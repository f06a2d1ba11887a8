"""A virtual machine with NICs of several drivers: boots, runs commands, is saved and restored, loses hardware or power.

QEMU emulates (TCG) unless the CPU really has hardware virtualization: a KVM device that opens is no proof.
"""

import contextlib
import itertools
import json
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.e2e.machine import CommandError
from tests.sabotage.dumps import Dump
from tests.vm import disk

BOOT_S = 240
"""How long a machine may take to boot when others are at work beside it."""
SAVED = "ready"
_SLACK_S = 30.0


class Nic:
    """A network card.

    Args:
        driver: QEMU's name of it.
        hub: to which of the wires it is plugged.
        mac: its permanent address.
    """

    def __init__(self, driver: str, hub: int, mac: str) -> None:
        self.driver, self.hub, self.mac = driver, hub, mac


NICS = {
    "nic0": Nic("e1000e", 0, "52:54:00:00:01:01"),
    "nic1": Nic("e1000e", 0, "52:54:00:00:01:02"),
    "nic2": Nic("igb", 1, "52:54:00:00:02:01"),
    "nic3": Nic("virtio-net-pci", 1, "52:54:00:00:03:01"),
}
"""By QEMU's ids; udev names them enp1s0, enp2s0, enp3s0, enp4s0."""


def accelerator() -> str:
    """What QEMU runs the guest's instructions by."""
    flags = Path("/proc/cpuinfo").read_text().split()
    is_real = {"vmx", "svm"} & set(flags) and Path("/dev/kvm").exists()
    return "kvm" if is_real else "tcg,thread=multi"


class VirtualMachine:
    """One machine; a context manager. What it does to its disk is kept in its directory.

    Args:
        directory: its own, for its disk and sockets.
        kernel: the release of its kernel, one of `disk.kernels()`.
        options: what else its kernel is booted with.

    Attributes:
        cgroup: parent cgroup for the pods.
        directory: where its files are here.
    """

    cgroup = "/nri-netdev-e2e"

    def __init__(self, directory: Path, kernel: str, options: str = "") -> None:
        self.kernel = kernel
        self._options_of_kernel = options
        self.directory = directory
        self._disk = directory / "disk.qcow2"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._lines: Any = None
        self._files = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull_the_plug()

    # -- power -----------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start it, on the disk as it is, and wait until it does what is asked."""
        self._start()
        self._answer(BOOT_S)  # its hello
        self.run("udevadm", "settle", timeout_s=BOOT_S)

    def save(self) -> None:
        """Take the snapshot to which `restore` leads."""
        self.run("sync", timeout_s=BOOT_S)
        self.monitor(f"savevm {SAVED}")

    def restore(self) -> None:
        """Have it as it was when it was saved, disk and clock included, with all NICs plugged in."""
        self.pull_the_plug()
        self._start("-loadvm", SAVED)

    def pull_the_plug(self) -> None:
        """Cut its power: what has not reached the disk is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._socket is not None:
            self._lines.close()
            self._socket.close()
            self._socket = None

    def reboot(self) -> None:
        """Shut it down in order, and boot it again."""
        assert self._process is not None
        with contextlib.suppress(CommandError, OSError, ValueError):
            self.run("systemctl", "--no-block", "poweroff")
        self._process.wait(timeout=BOOT_S)
        self.pull_the_plug()
        self.boot()

    def _start(self, *more: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._disk.exists():
            backing = ["-b", str(disk.DISK.resolve()), "-F", "raw"]
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self._disk)], check=True)
        agent, monitor = self.directory / "agent", self.directory / "monitor"
        for path in (agent, monitor):
            path.unlink(missing_ok=True)
        errors = self.directory / "qemu.err"
        # Dies with the process that started it, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *self._options(agent, monitor), *more]
        with errors.open("wb") as stream:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        deadline = time.monotonic() + _SLACK_S
        self._socket = socket.socket(socket.AF_UNIX)
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self._socket.connect(str(agent))
                break
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"QEMU does not start: {errors.read_text()}")
            time.sleep(0.01)
        self._lines = self._socket.makefile("rb")

    def _options(self, agent: Path, monitor: Path) -> list[str]:
        options = ["-nodefaults", "-no-user-config", "-machine", "q35", "-accel", accelerator(), "-cpu", "max"]
        options += ["-m", "2G", "-smp", "2", "-display", "none", "-no-reboot"]
        options += ["-kernel", str(disk.BOOT / f"vmlinuz-{self.kernel}")]
        options += ["-initrd", str(disk.BOOT / f"initrd.img-{self.kernel}")]
        options += [
            "-append",
            f"root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off {self._options_of_kernel}",
        ]
        options += ["-serial", f"file:{self.directory / 'console.log'}"]
        options += ["-qmp", f"unix:{monitor},server=on,wait=off"]
        options += ["-drive", f"file={self._disk},if=virtio,format=qcow2"]
        options += ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        options += ["-chardev", f"socket,id=agent,path={agent},server=on,wait=off"]
        options += ["-device", "virtserialport,chardev=agent,name=tests.guest"]
        for number, (name, nic) in enumerate(NICS.items(), start=1):
            options += ["-netdev", f"hubport,id=net-{name},hubid={nic.hub}"]
            options += ["-device", f"pcie-root-port,id=port-{name},slot={number},chassis={number}"]
            options += ["-device", ",".join(f"{key}={value}" for key, value in _device(name).items())]
        return options

    # -- hardware --------------------------------------------------------------------------------------------------

    def unplug(self, name: str) -> None:
        """Take a NIC out; the guest's kernel hears of it."""
        self.qmp("device_del", id=name)

    def plug(self, name: str) -> None:
        """Put it in again."""
        self.qmp("device_add", **_device(name))

    def cable(self, name: str, *, is_plugged: bool) -> None:
        """Give a NIC its carrier, or take it."""
        self.qmp("set_link", name=name, up=is_plugged)

    def monitor(self, line: str) -> None:
        """Have QEMU's monitor do something."""
        said = str(self.qmp("human-monitor-command", **{"command-line": line}))
        if said.strip():
            raise AssertionError(f"{line}: {said}")

    def qmp(self, command: str, **arguments: object) -> Any:
        """Send a command to QEMU, by its machine protocol."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(self.directory / "monitor"))
            with channel.makefile("rb") as lines:
                lines.readline()
                reply: dict[str, Any] = {}
                for name, values in (("qmp_capabilities", {}), (command, arguments)):
                    channel.sendall((json.dumps({"execute": name, "arguments": values}) + "\n").encode())
                    reply = json.loads(lines.readline())
                    while "event" in reply:
                        reply = json.loads(lines.readline())
        if "error" in reply:
            raise AssertionError(f"{command} {arguments}: {reply['error']['desc']}")
        return reply["return"]

    # -- what the guest does ---------------------------------------------------------------------------------------

    def run(
        self, *argv: str | Path, timeout_s: float = 120, env: Mapping[str, str] | None = None, text_in: str = ""
    ) -> str:
        """Run a command in the guest and return its standard output.

        Raises:
            CommandError: its status is not 0, or it took longer.
        """
        request = {"argv": [*map(str, argv)], "timeout_s": timeout_s, "env": dict(env or {}), "input": text_in}
        done = self._ask(request, timeout_s)
        if done["status"]:
            raise CommandError(argv, done["status"], done["stderr"])
        return str(done["stdout"])

    def sh(self, script: str, *, timeout_s: float = 120) -> str:
        """Run a script of which each line must succeed."""
        return self.run("bash", "-ec", script, timeout_s=timeout_s)

    def write(self, inside: str | Path, text: str) -> None:
        """Make a file in the guest, and its directories."""
        self._ask({"write": str(inside), "text": text}, _SLACK_S)

    def path(self, inside: str | Path) -> Path:
        """There is no way to its files but to ask it."""
        raise NotImplementedError(inside)

    def new_file(self, stem: str, suffix: str) -> Path:
        """Return a path at which there is no file yet."""
        return Path("/var/tmp") / f"{stem}-{next(self._files)}{suffix}"

    def dump(self, ifname: str) -> Dump:
        """What programs tell there of all links, and of one of them even what is slow to read."""
        return Dump.of_json(self._ask({"dump": ifname}, 120)["dump"])

    def log(self, unit: str, *, lines: int = 60) -> str:
        """The end of a service's log."""
        return self.run("journalctl", "--unit", unit, "--lines", str(lines), "--output=cat", "--no-pager")

    def console(self) -> str:
        """What its kernel has said."""
        return (self.directory / "console.log").read_text(errors="replace")

    def _ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._socket is not None, "it is off"
        self._socket.sendall((json.dumps(request) + "\n").encode())
        answer = self._answer(timeout_s + _SLACK_S)
        if "error" in answer:
            what = request.get("argv", [*request])
            raise CommandError(what, -1, answer["error"])
        return answer

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._socket is not None
        self._socket.settimeout(timeout_s)
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise AssertionError(f"no answer from the guest in {timeout_s:.0f} s:\n{self.console()[-2000:]}") from None
        assert line, f"the guest is gone:\n{self.console()[-2000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer


def _device(name: str) -> dict[str, str]:
    nic = NICS[name]
    return {"driver": nic.driver, "id": name, "netdev": f"net-{name}", "bus": f"port-{name}", "mac": nic.mac}
