"""Runtime handlers whose containers would not see an interface: by their names, and by what processes show."""

from __future__ import annotations

import pytest

from nri_netdev.domain.policy.handlers import Handlers, guest_among
from tests.domain.policy.test_rules import policy_of


@pytest.mark.parametrize(
    ("handler", "names", "known_by"),
    [
        ("kata", (), "it matches kata* of unshared_handlers"),
        ("kata-qemu-snp", (), "it matches kata* of unshared_handlers"),
        ("gvisor", (), "it matches gvisor* of unshared_handlers"),
        ("runsc", (), "it matches runsc* of unshared_handlers"),
        ("krun", (), "it matches krun* of unshared_handlers"),
        ("vm", ("qemu-system-x86_64", "qemu-system-x86"), "its process is qemu-system-x86"),
        ("vm", ("cloud-hypervisor", "cloud-hyperviso"), "its process is cloud-hypervisor"),
        ("vm", ("firecracker",), "its process is firecracker"),
        ("vm", ("containerd-shim-kata-v2", "containerd-shim"), "its process is containerd-shim-kata-v2"),
        ("sandboxed", ("runsc", "exe", "runsc-sandbox"), "its process is runsc"),
        ("", ("runsc-sandbox",), "its process is runsc-sandbox"),
    ],
)
def test_a_guest_is_known(handler: str, names: tuple[str, ...], known_by: str) -> None:
    """The reason names the handler and how it is known."""
    why = Handlers().why_unshared(handler, names)
    assert why is not None
    assert why.startswith(f'the runtime handler "{handler or "default"}" of the pod ({known_by}) runs containers as ')


@pytest.mark.parametrize("handler", ["", "runc", "crun", "youki", "nvidia", "mykata", "wasmtime"])
@pytest.mark.parametrize(
    "names",
    [
        (),
        ("pause",),
        ("runc", "runc:[2:INIT]"),
        ("exe", "runc:[2:INIT]", "runc"),
        ("crun", "3"),
        ("youki", "youki:[2:INIT]"),
        ("containerd-shim-runc-v2", "containerd-shim"),
        ("conmon",),
        ("virt-launcher-monitor",),
        ("my-qemu-system-x86_64",),
    ],
)
def test_no_guest_is_made_up(handler: str, names: tuple[str, ...]) -> None:
    """Whatever runs under runc, crun or youki is given its interfaces."""
    assert Handlers().why_unshared(handler, names) is None
    assert guest_among(names) is None


@pytest.mark.parametrize(
    ("text", "handler", "names", "is_unshared"),
    [
        ("unshared_handlers: [vm-*]", "vm-1", (), True),
        ("unshared_handlers: [vm-*]", "kata", (), False),
        ("unshared_handlers: []", "kata", (), False),
        ("unshared_handlers: []", "kata", ("qemu-system-x86_64",), True),
        ("unshared_handlers: [default]", "", (), True),
        ("shared_handlers: [kata-plug]", "kata-plug", ("qemu-system-x86_64",), False),
        ("shared_handlers: [kata-plug]", "kata", (), True),
        ("shared_handlers: [default]", "", ("runsc-sandbox",), False),
    ],
)
def test_the_operator_knows_better(text: str, handler: str, names: tuple[str, ...], *, is_unshared: bool) -> None:
    """`unshared_handlers` replaces the names that are known; `shared_handlers` overrules names and processes."""
    assert (policy_of(text).handlers.why_unshared(handler, names) is not None) is is_unshared
