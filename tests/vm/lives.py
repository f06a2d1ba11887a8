"""What may happen to a container that has an interface: each begins and ends with the interface at home."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sabotage.settings import decided
from tests.sabotage.tenant import TENANT
from tests.vm.scene import INSIDE, Scene, wait

_NOT_DONE = {"own netns", "rename", "rename up", "takes the host's name", "no alternative names", "nftables"}
"""What is a life of its own, or hides the interface."""


def stopped(scene: Scene) -> None:
    """Its pod is deleted in order."""
    scene.give()
    scene.delete()


def restarted(scene: Scene) -> None:
    """Its container ends by itself, and runs again in the same pod."""
    scene.give()
    scene.place.sh(f"kill -9 {scene.pid}")
    scene.again()
    scene.delete()


def without_daemon(scene: Scene) -> None:
    """Its pod is deleted while the daemon is dead."""
    scene.give()
    scene.place.kill_daemon()
    scene.delete()
    scene.place.start_daemon()


def without_engine(scene: Scene) -> None:
    """Its process ends while the engine is dead."""
    scene.give()
    pid = scene.pid
    scene.place.kill_engine()
    scene.place.sh(f"kill -9 {pid}")
    scene.troubles()
    scene.place.start_engine()
    scene.delete()


def renamed(scene: Scene) -> None:
    """The tenant gives it another name."""
    scene.give()
    scene.inside(f"ip link set {INSIDE} down\nip link set {INSIDE} name stolen0 alias 'of mine'")
    scene.delete()


def spoiled(scene: Scene, seed: int = 1) -> None:
    """A tenant with all capabilities sets whatever can be set on it."""
    dice = random.Random(seed)  # noqa: S311 - tests are to be repeated
    scene.give()
    fitting = (
        setting
        for setting in TENANT.values()
        if setting.name not in _NOT_DONE and (not setting.kinds or scene.kind.name in setting.kinds)
    )
    commands = (command for setting in fitting for command in decided(setting, dice).commands)
    lines = (
        f"{{ {command.replace('{dev}', INSIDE)}; }} >/dev/null 2>&1 || true"
        for command in commands
        if not command.startswith("@") and "{bpf}" not in command
    )
    scene.inside("\n".join(lines))
    scene.delete()


def displaced(scene: Scene) -> None:
    """Its name on the host is taken meanwhile, and is free again later."""
    scene.give()
    scene.place.sh(f"ip link add {scene.ifname} type dummy")
    scene.delete()
    [trouble, *_] = scene.troubles()
    assert "name" in trouble, trouble
    scene.place.sh(f"ip link del {scene.ifname}")
    wait(lambda: not scene.place.claims(), patience_s=scene.place.patience_s, why="it has its name again")


Life = Callable[[Scene], None]
_EVERY: tuple[Life, ...] = (stopped, restarted, without_daemon, without_engine, renamed, spoiled, displaced)
LIVES = {life.__name__: life for life in _EVERY}
"""Every life by name."""
