"""Texts that were copied from what `ip` prints, in place of an interface's name: what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable

_LONGEST = 200
"""Characters of a text that are looked at: a line of `ip`."""
_NAME = "(?P<name>[A-Za-z0-9_.+-]{1,15})"
"""A name of an interface, of the characters that are in use."""
_REST = r"(?:\s.*)?"
_STATES = "UP|DOWN|UNKNOWN|LOWERLAYERDOWN|DORMANT|NOTPRESENT"
_PCI = r"(?i:pci[/:])?(?P<name>(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7])"
_MAC = r"(?:link/\w+\s+|permaddr\s+)?(?P<name>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5,19})"
_IP = r"(?:inet6?\s+)?(?P<name>(?:[0-9]+\.){3}[0-9]+/[0-9]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/[0-9]+)"


def _alone(name: str) -> str:
    return f"write {name}, without what stands around it"


def _field(what: str, field: str) -> Callable[[str], str]:
    return lambda name: f"it is {what}; nri-netdev's own annotations and rules take it as {field}: {name}"


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = tuple(
    (re.compile(form, re.ASCII), words)
    for form, words in (
        (_MAC + _REST, _field("a MAC address", "mac")),
        (_PCI, _field("a PCI address", "pci")),
        (_IP + _REST, lambda _: "it is an IP address, not an interface; `ip -brief address` shows whose"),
        (r"altname\s+(?P<name>[!-.0-9;-~]{1,127})", _field("an altname", "altname")),
        (
            rf"(?:\d+:\s+)?{_NAME}@[^\s:@]+:?{_REST}",
            lambda name: f"write {name}: what follows @ is its lower device or its peer, as `ip link` shows it",
        ),
        (rf"{_NAME}:[0-9]+", lambda name: f"write {name}: what follows the colon is the label of an address"),
        (rf"\d+:\s+{_NAME}:?{_REST}", _alone),
        (rf"{_NAME}:(?:\s+(?:<|flags=).*)?", _alone),
        (rf"{_NAME}\s+(?:{_STATES}){_REST}", _alone),
        (rf"(?:dev|master)\s+{_NAME}{_REST}", _alone),
        (rf"/sys/class/net/{_NAME}/?", _alone),
    )
)
"""What `ip link`, `ip address`, their brief form, ifconfig, devlink and sysfs show of an interface, the name in it, and
what to do. The first that fits the whole text counts."""


def advice(text: str) -> str:
    """What to write instead of a text that was clearly copied; "" for any other text.

    A clause: "write ens9, without what stands around it". Names with `@` are valid, if rare, so the text may be a name.
    """
    for form, words in _FORMS:
        if found := form.fullmatch(text[:_LONGEST]):
            return words(found["name"])
    return ""


def with_advice(sentence: str, text: str) -> str:
    """A sentence about a text, followed by the advice, if there is any."""
    more = advice(text)
    return f"{sentence}; {more}" if more else sentence
