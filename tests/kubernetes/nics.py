"""Interfaces that a test gives away, compared before and after by iproute2, which does not know our code."""

import difflib
import json
from collections.abc import Sequence
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
        self.add_named([name], is_plain=is_plain)
        return name

    def add_many(self, count: int, *, stem: str = "nic") -> list[str]:
        """Make nic0 to nicN, plain."""
        return self.add_named([f"{stem}{number}" for number in range(count)], is_plain=True)

    def add_named(self, names: Sequence[str], *, is_plain: bool = False) -> list[str]:
        """Make several, which takes the time of one."""
        for name in names:
            self.node.add_veth(name, addresses=() if is_plain else ADDRESSES)
        for name in names:
            self._note(name)
        return list(names)

    def rename(self, name: str, to: str) -> None:
        """Give a plain one another name."""
        self._before[to] = {**self._before.pop(name), "ifname": to}
        self.node.ip("link", "set", name, "name", to)

    def forget(self, name: str) -> None:
        """Do not ask of this one that it is home."""
        del self._before[name]

    def is_home(self, name: str = "nic0") -> bool:
        """Whether an interface is on the node as it was."""
        return self._look(name) == self._before[name]

    def is_back(self, name: str = "nic0") -> bool:
        """Whether it is, but for an alternative name, as a promise of it to a pod that comes again gives it."""
        found, before = ({**(link or {}), "altnames": None} for link in (self._look(name), self._before[name]))
        return bool(found == before)

    def wait_home(self, *names: str, timeout_s: float = 15) -> None:
        """Wait until interfaces are home; all of them unless some are named.

        A way home may outlast what the engine gives a hook; so it may end a little after the pod.
        """
        wait_until(lambda: all(map(self.is_home, names or self._before)), timeout_s=timeout_s, what=self.differences)

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

    def _note(self, name: str) -> None:
        """Note how it is, once it has its link-local address for good."""

        def settled() -> Any:
            found = json.dumps(link := self._look(name))
            return link if "fe80:" in found and "tentative" not in found else None

        self._before[name] = wait_until(settled, timeout_s=10, what=f"addresses of {name}")

    def _look(self, name: str) -> Any:
        return _steady(self.node.link(name))


def _steady(found: Any) -> Any:
    """What `ip` said, less what an interface cannot keep."""
    if isinstance(found, dict):
        return {key: _steady(value) for key, value in found.items() if key not in _CHANGES}
    if isinstance(found, list):
        return sorted((_steady(value) for value in found), key=repr)
    return found
