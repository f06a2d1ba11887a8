"""Draws what the docs show of the code: the life of a claim, the fields of annotations and of the configuration.

`python docs/draw.py` writes; `python docs/draw.py --check` fails when a page is not what the code says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nri_netdev.config.settings import CONFIGURATION
from nri_netdev.config.settings import schema as configuration_schema
from nri_netdev.domain.annotations.grammars import CONTAINER_KEY_PREFIX, RULES, TEXTS, Grammar, Use, candidates
from nri_netdev.domain.annotations.manifest import KEY_NAME_CHARS
from nri_netdev.domain.claim import Holder, Place, State, decide, state_after
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.file import RULES as POLICY_RULES
from nri_netdev.domain.policy.selectors import FIELDS
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text.names import ALTNAME_BYTES, IFNAME_BYTES, why_invalid
from nri_netdev.domain.text.shape import Member, Record
from nri_netdev.domain.text.yaml_nodes import ANNOTATION

DOCS = Path(__file__).parent
END = "<!-- /drawn -->\n"


ENDS = (
    ("", State.PLANNED, "granted"),
    (State.PLANNED, State.HELD, "adopt"),
    (State.RETURNING, "", "home and whole"),
    (State.RETURNING, State.PARTIAL, "something missing"),
    (State.RETURNING, State.LOST, "lose"),
    (State.PARTIAL, "", "home and whole"),
    (State.LOST, "", "home and whole"),
)
"""The arrows that stand for what was done, from and to, with what it is called; the others are in the tables."""

WHERE: Mapping[str, tuple[int, int]] = {
    State.PLANNED: (150, 130),
    State.HELD: (340, 130),
    State.RETURNING: (580, 130),
    State.PARTIAL: (840, 40),
    State.LOST: (840, 220),
}
"""Where the middle of each state is, in pixels; a claim begins on the left and ends on the right."""

BEGINNING, ENDING = (20, 130), (1060, 130)


def picture() -> str:
    """The life of a claim, in SVG."""
    arrows: dict[tuple[str, str], list[str]] = {(start, end): [words] for start, end, words in ENDS}
    for state in State:
        for holder in Holder:
            for after in {state_after(state, place, holder) for place in Place} - {state}:
                arrows.setdefault((state, after), []).append(f"holder {holder}")
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1080 260" font-family="sans-serif" font-size="14">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">',
        '<path d="M0 0 9 4 0 8z"/></marker></defs>',
        '<rect width="1080" height="260" fill="#fff"/>',
        *(_arrow(start, end, words) for (start, end), words in arrows.items()),
        '<circle cx="20" cy="130" r="8"/>',
        '<circle cx="1060" cy="130" r="10" fill="#fff" stroke="#000"/><circle cx="1060" cy="130" r="6"/>',
        *(
            f'<rect x="{x - 50}" y="{y - 18}" width="100" height="36" rx="8" fill="#e6f2f1" stroke="#000"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle">{state}</text>'
            for state, (x, y) in WHERE.items()
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(start: str, end: str, words: list[str]) -> str:
    (x1, y1), (x2, y2) = WHERE.get(start, BEGINNING), WHERE.get(end, ENDING)
    x1, x2 = x1 + (50 if start else 8), x2 - (50 if end else 10)
    bend = 75 if (start, end) == (State.PLANNED, State.RETURNING) else 0  # around held
    x, y = (x1 + x2) // 2, (y1 + y2) // 2 - bend
    text = "".join(
        f'<tspan x="{x}" dy="{0 if line == 0 else 16}">{word}</tspan>' for line, word in enumerate(sorted(words))
    )
    return (
        f'<path d="M{x1} {y1} Q{x} {y - bend} {x2} {y2}" fill="none" stroke="#000" marker-end="url(#tip)"/>'
        f'<text y="{y - 16 * len(words) + 8}" text-anchor="middle" stroke="#fff" stroke-width="4" paint-order="stroke">'
        f"{text}</text>"
    )


def life() -> str:
    """The picture and the table of a claim's life."""
    lines = [
        "![The life of a claim: planned, held, returning, home](life.svg)",
        "",
        "What is done, by state and place, once the engine has told of the holder:",
        "",
        f"| state | {' | '.join(Place)} |",
        f"|---|{'---|' * len(Place)}",
    ]
    lines += [f"| {state} | {' | '.join(decide(state, place, Holder.PENDING) for place in Place)} |" for state in State]
    return "\n".join(lines) + "\n"


def annotation_fields() -> str:
    """The fields of a native entry."""
    rows: list[tuple[str, ...]] = []
    for name, use in RULES[Grammar.NATIVE].fields.items():
        if use is Use.LATER:
            rows.append((f"`{name}`", "known, and refused as not yet supported", ""))
        else:
            text, example = TEXTS[name] if name in TEXTS else (FIELDS[name].text, FIELDS[name].example)
            rows.append((f"`{name}`", text, f"`{example}`"))
    return _table(("field", "meaning", "example"), rows)


def annotation_keys() -> str:
    """The keys of the three grammars, in the order in which they are looked for."""
    rows = [
        (source.grammar, f"`{source.key}`", "the container NAME" if source.scope is Scope.CONTAINER else "the pod")
        for source in candidates(container="NAME")
    ]
    return _table(("grammar", "key", "for"), rows)


MEANINGS = {Use.INTERFACE: "interface", Use.INSIDE: "name", Use.LATER: "refused as not yet supported"}
"""What a field of another grammar is in the native one."""


def others_fields() -> str:
    """The fields of the grammars that are not ours."""
    rows = [
        (grammar, f"`{name}`", MEANINGS[use] if use is Use.LATER else f"`{MEANINGS[use]}`")
        for grammar, rules in RULES.items()
        if rules.is_go
        for name, use in rules.fields.items()
    ]
    return _table(("grammar", "field", "as the native field"), rows)


BAD_NAMES = ("", "a-name-of-16-byt", "-x", "..", "all", "net1é", "net 1", "net/1", "net:1", "net%d")
"""One name for each rule of `nri_netdev.domain.text.names`, which is broken by it."""


def names() -> str:
    """Names that are refused, in the words of the program."""
    rows = [(f"`{name}`" if name else "", reason) for name in BAD_NAMES if (reason := why_invalid(name))]
    return _table(("a name like", "is refused since it"), rows)


def limits() -> str:
    """What an annotation may cost."""
    kept = KEY_NAME_CHARS - len(CONTAINER_KEY_PREFIX.partition("/")[2])
    return _table(
        ("what", "bound"),
        [
            (
                "size of an annotation",
                f"{ANNOTATION.size_bytes // 1024} KiB, as Kubernetes has it for all of an object together",
            ),
            ("lists and mappings within each other", str(ANNOTATION.depth)),
            ("texts, keys, lists and mappings together", str(ANNOTATION.nodes)),
            ("entries of an annotation; interfaces of a container in all", str(MAX_INTERFACES)),
            (
                "name of a container in a key",
                f"{kept} characters; Kubernetes gives {KEY_NAME_CHARS} to what follows `/`",
            ),
            ("name of an interface", f"{IFNAME_BYTES} bytes"),
            ("alternative name", f"{ALTNAME_BYTES} bytes"),
        ],
    )


def settings() -> str:
    """The keys of the configuration."""
    return _members(CONFIGURATION.members)


def rule_keys() -> str:
    """The keys of a rule."""
    item: Any = POLICY_RULES.item
    record: Record[Any] = item
    return _members(record.members)


def selector_fields() -> str:
    """The fields of a selector."""
    return _table(
        ("field", "meaning", "example"),
        [(f"`{name}`", field.text, f"`{field.example}`") for name, field in FIELDS.items()],
    )


def _members(members: Mapping[str, Member]) -> str:
    rows = [
        (
            f"`{name}`",
            member.text,
            "needed" if member.is_required else f"`{member.default}`" if member.default else "",
        )
        for name, member in members.items()
    ]
    return _table(("key", "meaning", "default"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


DRAWN: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "custody.md": {"nri_netdev/domain/claim.py": life},
    "annotations.md": {
        "nri_netdev/domain/annotations/grammars.py: keys": annotation_keys,
        "nri_netdev/domain/annotations/grammars.py: fields": annotation_fields,
        "nri_netdev/domain/annotations/grammars.py: fields of others": others_fields,
        "nri_netdev/domain/text/names.py": names,
        "nri_netdev/domain/annotations/request.py and strictyaml.py": limits,
    },
    "policy.md": {
        "nri_netdev/config/settings.py": settings,
        "nri_netdev/domain/policy/file.py": rule_keys,
        "nri_netdev/domain/policy/selectors.py": selector_fields,
    },
}
"""What is drawn on which page, by the mark that it follows."""


def pages() -> dict[Path, str]:
    """Every page as it should be."""
    wanted: dict[Path, str] = {}
    for name, drawings in DRAWN.items():
        text = (DOCS / name).read_text(encoding="utf-8")
        for source, draw in drawings.items():
            begin = f"<!-- drawn by `make docs` from {source} -->\n"
            head, mark, rest = text.partition(begin)
            if not mark:
                raise SystemExit(f"docs/{name} has no line {begin.strip()}")
            text = head + begin + draw() + END + rest.partition(END)[2]
        wanted[DOCS / name] = text
    wanted[DOCS / "life.svg"] = picture()
    wanted[DOCS / "config.schema.json"] = json.dumps(configuration_schema(), indent=2) + "\n"
    return wanted


def main() -> int:
    """Write or check the pages."""
    wrong = 0
    for path, wanted in pages().items():
        if "--check" not in sys.argv:
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            print(f"docs/{path.name} is not what the code says; run `make docs`", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
