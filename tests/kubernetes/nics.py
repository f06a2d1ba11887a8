"""Interfaces that a test gives away, compared before and after by iproute2, which does not know our code."""

import difflib
import json
from typing import Any

from tests.e2e.node import Node
from tests.e2e.wait import wait_until

ADDRESSES = ("198.51.100.7/24", "2001:db8:7::7/64")
_CHANGES = ("ifindex", "link_index", "stats64", "preferred_life_time", "valid_life_time")
"""What the kernel gives anew when an interface moves, or counts."""


class Nics:
    """The interfaces of a test on a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._before: dict[str, Any] = {}

    def add(self, name: str = "nic0", *, is_plain: bool = False) -> str:
        """Make an interface with addresses, unless it is to be plain, and note how it is."""
        self.node.add_veth(name, addresses=() if is_plain else ADDRESSES)
        wait_until(lambda: "tentative" not in json.dumps(self._look(name)), timeout_s=10, what=f"addresses of {name}")
        self._before[name] = self._look(name)
        return name

    def add_many(self, count: int) -> list[str]:
        """Make nic0 to nicN, plain."""
        return [self.add(f"nic{number}", is_plain=True) for number in range(count)]

    def forget(self, name: str) -> None:
        """Do not ask of this one that it is home."""
        del self._before[name]

    def is_home(self, name: str = "nic0") -> bool:
        """Whether an interface is on the node as it was."""
        return self._look(name) == self._before[name]

    def are_home(self) -> bool:
        """Whether every one is."""
        return all(map(self.is_home, self._before))

    def differences(self) -> str:
        """What differs, for a person."""
        texts: list[str] = []
        for name, before in self._before.items():
            was, now = (json.dumps(found, indent=1).splitlines() for found in (before, self._look(name)))
            texts += difflib.unified_diff(was, now, f"{name} before", f"{name} now", lineterm="", n=1)
        return "\n".join(texts)

    def remove(self) -> None:
        """Take them away."""
        self.node.clean()

    def _look(self, name: str) -> Any:
        return _steady(self.node.link(name))


def _steady(found: Any) -> Any:
    """What `ip` said, less what an interface cannot keep."""
    if isinstance(found, dict):
        return {key: _steady(value) for key, value in found.items() if key not in _CHANGES}
    if isinstance(found, list):
        return sorted((_steady(value) for value in found), key=repr)
    return found
