"""What the key of an annotation says by itself: whose it is, which container it names, whether a grammar has it."""

from __future__ import annotations

from nri_netdev.domain.annotations.grammars import (
    ALL_PREFIXES,
    ANNOTATION_PREFIX,
    CONTAINER_PREFIXES,
    DEVICE_INJECTOR_PREFIXES,
)
from nri_netdev.domain.text.names import did_you_mean, quote

_NEAR = 0.86
"""How like one of ours a prefix must be to be taken for a slip: `nri-netdev` is, `nri-netdev.io.example` is not."""


def is_ours(key: str) -> bool:
    """Whether a key has a prefix of ours, or of a plugin whose annotations are read here."""
    return key.partition("/")[0] in ALL_PREFIXES


def named_container(key: str) -> str | None:
    """The container that a key names; None if it names none."""
    prefix = next((prefix for prefix in CONTAINER_PREFIXES if key.startswith(prefix)), None)
    return None if prefix is None else key.removeprefix(prefix)


def why_unknown(key: str, *, guess: bool = True) -> str | None:
    """Why no grammar has a key of ours, whatever the pod's containers are called; None if one has it.

    Args:
        key: the key.
        guess: whether to look for what is meant.

    Returns the rest of a sentence that begins with the key: `unknown annotation key (did you mean "…"?)`.
    """
    prefix, _, name = key.partition("/")
    container = named_container(key)
    if container is not None:
        return None if container else "unknown annotation key, which names no container"
    if key in {prefix, f"{prefix}/pod"}:
        return None
    is_ignored = ", which is ignored" if prefix != ANNOTATION_PREFIX else ""
    return f"unknown annotation key{is_ignored}{_meant(prefix, name) if guess else ''}"


def _meant(prefix: str, name: str) -> str:
    head, _, container = name.partition(".")
    keys = {"pod": f"{prefix}/pod"}
    if prefix in {ANNOTATION_PREFIX, *DEVICE_INJECTOR_PREFIXES}:
        keys["container"] = f"{prefix}/container.{container or 'NAME'}"
    return did_you_mean(head, keys)


def meant_prefix(key: str) -> str:
    """A question to put after a key that is nearly ours, ` (did you mean "…"?)`; empty if it is not."""
    import difflib  # noqa: PLC0415 - a daemon does not need it

    prefix, slash, name = key.partition("/")
    if len(prefix) > 2 * len(max(ALL_PREFIXES, key=len)):
        return ""
    near = difflib.get_close_matches(prefix.lower(), ALL_PREFIXES, n=1, cutoff=_NEAR)
    return f" (did you mean {quote(near[0] + slash + name)}?)" if near else ""
