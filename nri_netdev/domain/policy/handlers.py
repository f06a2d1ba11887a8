"""Which runtime handlers run containers as guests, with network interfaces that are made when the pod starts.

A virtual machine, as of kata, or gVisor's kernel is connected to the interfaces that are in the pod's netns when the
pod starts. One that comes into the netns later is never seen inside, though nothing fails. So these handlers get
nothing. They are known by their names, and by what the process of their pods is called.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nri_netdev.domain.policy.selectors import matches_glob
from nri_netdev.domain.text.names import quote

DEFAULT_HANDLER = "default"
"""Stands for the runtime handler of pods that name none."""

UNSHARED = ("kata*", "gvisor*", "runsc*", "krun*")
"""Handlers whose containers are guests, by the names under which they are commonly configured."""

_GUESTS = (
    "qemu-system-*",
    "qemu-kvm*",
    "cloud-hypervisor*",
    "firecracker*",
    "stratovirt*",
    "openvmm*",
    "containerd-shim-kata*",
    "runsc*",
    "krun*",
)
"""What the process of such a pod is called. Kata's shim runs some virtual machines itself; kata reports the process of
the virtual machine as that of pod and containers (`src/runtime/pkg/containerd-shim-v2/service.go`), gVisor that of its
kernel, `runsc-sandbox` (`runsc/sandbox/sandbox.go`)."""


def guest_among(names: Collection[str]) -> str | None:
    """The name among those of processes that shows a guest; None if none does."""
    return min((name for name in names if _matching(name, _GUESTS)), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What is known of runtime handlers; patterns of their names."""

    unshared: tuple[str, ...] = UNSHARED
    """Their containers are guests."""
    shared: tuple[str, ...] = ()
    """Their containers see what comes into the pod's netns, whatever else is known of them."""

    def why_unshared(self, handler: str, names: Collection[str]) -> str | None:
        """Why the containers of a handler would not see an interface; None if they would.

        Args:
            handler: as the engine calls it; "" for its default.
            names: what the processes are called that a pod of this handler has before its containers run.
        """
        handler = handler or DEFAULT_HANDLER
        if _matching(handler, self.shared):
            return None
        if pattern := _matching(handler, self.unshared):
            known_by = f"it matches {pattern} of unshared_handlers"
        elif guest := guest_among(names):
            known_by = f"its process is {guest}"
        else:
            return None
        return (
            f"the runtime handler {quote(handler)} of the pod ({known_by}) runs containers as guests, whose network "
            "interfaces are made when the pod starts; they would never see one that comes into the pod's netns later"
        )


def _matching(text: str, patterns: Sequence[str]) -> str | None:
    return next((pattern for pattern in patterns if matches_glob(text, pattern)), None)
