"""Which texts can be an interface's name, and how text from outside is quoted in a message.

A runtime that gets a bad name moves the interface first and fails to rename it afterwards, which leaves it inside the
pod, down: crun checks nothing, runc lets tabs, `%` and 16 bytes through. So only names pass here that the kernel, runc,
crun and youki all take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from nri_netdev.domain.text.pasted import with_advice

IFNAME_BYTES = 15
"""Longest interface name: kernel `IFNAMSIZ` less the closing NUL (`include/uapi/linux/if.h`)."""
ALTNAME_BYTES = 127
"""Longest alternative name: kernel `ALTIFNAMSIZ` less the closing NUL."""

_QUOTED_CHARS = 80
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9._/-]{1,317}", re.ASCII)
"""253 bytes of prefix, a slash and 63 of name: the longest annotation key of Kubernetes."""


def quote(text: str) -> str:
    """A text from outside in double quotes, fit for one line of a log, an event or a terminal.

    Control characters, surrogates and other characters that cannot be printed are escaped. After 80 characters the text
    is cut, with `…` in place of the rest.
    """
    return f'"{escape(text)}"'


def escape(text: str) -> str:
    """As `quote`, without the quotes."""
    head = text[:_QUOTED_CHARS]
    if head.isprintable() and '"' not in head and "\\" not in head:
        return head if len(text) <= _QUOTED_CHARS else f"{head}…"
    pieces: list[str] = []
    room = _QUOTED_CHARS
    for char in text[: _QUOTED_CHARS + 1]:
        piece = _ESCAPES.get(char) or _printable(char)
        room -= len(piece)
        if room < 0:
            return "".join(pieces) + "…"
        pieces.append(piece)
    return "".join(pieces)


def printable(text: str) -> str:
    """As `quote`, without the quotes and not cut: for a text of our own in which others' words are perhaps quoted."""
    return text if text.isprintable() else "".join(map(_printable, text))


def quote_key(key: str) -> str:
    """An annotation key for a message: bare if it is a valid key, else quoted."""
    return key if _PLAIN_KEY.fullmatch(key) else quote(key)


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _first(test: Callable[[str], bool]) -> Callable[[str], str | None]:
    return lambda text: next((char for char in text if test(char)), None)


_OBJECTIONS: tuple[tuple[Callable[[str], str | None], str], ...] = (
    (
        _first(lambda c: not c.isascii()),
        "contains {}, which is not ASCII; many tools fail on it",
    ),
    (_first(lambda c: c.isspace() and c not in "\x1c\x1d\x1e\x1f"), "contains whitespace ({})"),
    (_first(lambda c: not c.isprintable()), "contains a control character ({})"),
    (_first(lambda c: c in "/:"), "contains {}, which the kernel refuses"),
    (
        _first(lambda c: c == "%"),
        "contains {}, a template that runtimes fail on; write the whole name",
    ),
)
"""What no character of a name may be: how to find the first such character, and the message about it."""

_TAKEN_WORDS = {
    ".": "is a directory, not a name",
    "..": "is a directory, not a name",
    "all": "is a word that the kernel keeps for /proc/sys/net",
    "default": "is a word that the kernel keeps for /proc/sys/net",
}
"""`all` and `default`: kernel `sysctl_dev_name_is_allowed`; a rename to them fails after the move."""


def why_invalid(ifname: str) -> str | None:
    """Why this text cannot be the name of an interface, on the host or in a container; None if it can.

    Returns the rest of a sentence that begins with the name: "is longer than 15 bytes (it has 20)", and what to write
    instead of a text that was copied from `ip link`. Whether an interface has the name is not checked.
    """
    why = _why_invalid(ifname, limit=IFNAME_BYTES, words=_TAKEN_WORDS)
    return None if why is None else with_advice(why, ifname)


def why_invalid_altname(altname: str) -> str | None:
    """As `why_invalid`, for an alternative name, which may be longer."""
    return _why_invalid(altname, limit=ALTNAME_BYTES, words=(".", ".."))


def _why_invalid(text: str, *, limit: int, words: Iterable[str]) -> str | None:
    if not text:
        return "is empty"
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > limit:
        return f"is longer than {limit} bytes (it has {size_bytes})"
    if text in words:
        return _TAKEN_WORDS[text]
    if text.startswith("-"):
        return 'begins with "-", which means removal to the engine'
    return next((reason.format(quote(char)) for find, reason in _OBJECTIONS if (char := find(text))), None)


POOL_NAME = "{pool}"
NUMBER = "{n}"
"""Placeholders in a pattern of names: the pool's name, and the lowest number from 0 that makes the name free."""


def why_invalid_pattern(pattern: str) -> str | None:
    """As `why_invalid`, for a name that may have `{pool}` and `{n}` in it.

    Its length is checked when it is filled in.
    """
    rest = pattern.replace(POOL_NAME, "x").replace(NUMBER, "0")
    if "{" in rest or "}" in rest:
        return f"has braces that are neither {NUMBER} nor {POOL_NAME}"
    return why_invalid(pattern if rest == pattern else rest[:IFNAME_BYTES])


def fill(pattern: str, *, pool: str, n: int) -> str:
    """The name that a pattern gives."""
    return pattern.replace(POOL_NAME, pool).replace(NUMBER, str(n))


def did_you_mean(word: str, meant: Mapping[str, str]) -> str:
    """A question to put after an unknown word, ` (did you mean "name"?)`; empty if no word is near.

    Args:
        word: the unknown word.
        meant: words to compare with, in lower case, each with what to propose.
    """
    if len(word) > _QUOTED_CHARS:  # near nothing, and the comparison takes time quadratic in the length
        return ""
    import difflib  # noqa: PLC0415 - a daemon needs it only where somebody has slipped

    near = difflib.get_close_matches(word.lower(), meant, n=1)
    return f" (did you mean {quote(meant[near[0]])}?)" if near else ""
