"""Reading of a setup again from what the ledger keeps of it. Pure.

It was accepted once, perhaps by another program or under another Python, and is set on an interface that must come
home. So nothing is refused: what cannot be read is left out, and what does not go together is not looked for.
"""

from __future__ import annotations

import json
from dataclasses import replace

from nri_netdev.domain.setup.fields import SETUP
from nri_netdev.domain.setup.values import PLAIN, Setup, Share, ShareKind
from nri_netdev.domain.text.shape import Flaw, Reader
from nri_netdev.domain.text.yaml_nodes import MANIFEST, Node, YamlError, YamlMapping, load, plain

_SHARE = "share"
_FLAWS_TOLD = 3


def recall_setup(document: str) -> tuple[Setup, str]:
    """Read a setup that was accepted once. Never raises.

    Whatever of it cannot be read, the setup has the whole `document`, all its fields in `asked`, and a share if one was
    asked for: in mode "" if that cannot be read.

    Returns:
        The setup; and why some of it cannot be read, "" if all can be.
    """
    if not document:
        return PLAIN, ""
    try:
        node = load(document, limits=MANIFEST)
    except YamlError as error:
        return _unread(document), str(error)
    if not isinstance(node, YamlMapping):
        return _unread(document), "it is no mapping"
    reader = Reader(is_lenient=True, guesses=0)
    setup = SETUP.read(node, (), reader) or PLAIN
    share = setup.share
    if (shared := node.get(_SHARE)) is not None and any(flaw.path[:1] == (_SHARE,) for flaw in reader.flaws):
        share = Share(kind=share.kind if share is not None else _kind_in(_text(shared)), mode="")
    asked = frozenset(key.text for key, _ in node.pairs)
    return replace(setup, share=share, asked=asked, document=document), _why(reader.flaws)


def _unread(document: str) -> Setup:
    share = Share(kind=_kind_in(document), mode="") if _SHARE in document else None
    return Setup(share=share, asked=frozenset({_SHARE} if share else {"setup"}), document=document)


def _kind_in(text: str) -> ShareKind:
    """The kind of a share that cannot be read, as far as its text tells."""
    return ShareKind.IPVLAN if ShareKind.IPVLAN in text else ShareKind.MACVLAN


def _text(node: Node) -> str:
    return json.dumps(plain(node))


def _why(flaws: list[Flaw]) -> str:
    told = [_told(flaw) for flaw in flaws[:_FLAWS_TOLD]]
    more = len(flaws) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)


def _told(flaw: Flaw) -> str:
    message = f"has the unknown key {flaw.shown}" if flaw.shown else flaw.message
    return f"{'.'.join(flaw.path) or 'it'} {message}"
