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
from nri_netdev.domain.annotations.grammars import CONTAINER_KEY_PREFIX, GRAMMARS, Grammar, candidates
from nri_netdev.domain.annotations.grammars import schema as annotation_schema
from nri_netdev.domain.annotations.manifest import KEY_NAME_CHARS
from nri_netdev.domain.claim import State
from nri_netdev.domain.life import DECISIONS, OUTCOMES, TRANSITIONS, Candidate, Place, Trace, Trigger
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.file import RULES
from nri_netdev.domain.policy.selectors import FIELDS
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import FIELDS as SETUP_FIELDS
from nri_netdev.domain.setup.ipam import PLUGINS
from nri_netdev.domain.text.names import ALTNAME_BYTES, IFNAME_BYTES, why_invalid
from nri_netdev.domain.text.shape import ListOf, MapOf, Member, OneOrList, Record, TextOr
from nri_netdev.domain.text.yaml_nodes import ANNOTATION
from nri_netdev.shells.kernel.facets.facet import Facet
from nri_netdev.shells.kernel.facets.table import FACETS
from nri_netdev.shells.kernel.setup.apply import STEPS

DOCS = Path(__file__).parent
END = "<!-- /drawn -->\n"


WHERE: Mapping[State, tuple[int, int]] = {
    State.PREPARED: (190, 60),
    State.UNCERTAIN: (190, 280),
    State.PLANNED: (430, 60),
    State.HELD: (640, 60),
    State.RETURNING: (640, 280),
    State.PARTIAL: (920, 130),
    State.LOST: (920, 430),
}
"""Where the middle of each state is, in pixels. A claim begins at the top left."""
BEGINNING, HOME, WITHDRAWN = (20, 60), (1110, 280), (30, 170)
"""Where a claim begins, and where it ends: at home, or given to nobody."""
BENDS: Mapping[tuple[State | None, State | None], tuple[int, int]] = {
    (State.PARTIAL, State.RETURNING): (720, 100),
    (State.LOST, State.RETURNING): (720, 460),
    (State.PARTIAL, State.LOST): (810, 330),
    (State.LOST, State.PARTIAL): (1030, 240),
}
"""Where an arrow that would cross another is bent to."""
UNDRAWN = frozenset({Trigger.REBOOTED, Trigger.GIVEN_UP, Trigger.UNPLUGGED})
"""Triggers that end a claim in any state, or by force: named below the picture."""


def picture() -> str:
    """The life of a claim, in SVG, from the table of its transitions."""
    arrows: dict[tuple[State | None, State | None], list[str]] = {}
    for (before, trigger), after in TRANSITIONS.items():
        if trigger not in UNDRAWN and before is not after:
            arrows.setdefault((before, after), []).append(trigger.name.lower().replace("_", " "))
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1150 460" font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">',
        '<path d="M0 0 9 4 0 8z"/></marker></defs>',
        '<rect width="1150" height="460" fill="#fff"/>',
        _arrow(None, State.PREPARED, []),
        *(_arrow(start, end, words) for (start, end), words in arrows.items()),
        f'<circle cx="{BEGINNING[0]}" cy="{BEGINNING[1]}" r="8"/>',
        *(
            f'<circle cx="{x}" cy="{y}" r="10" fill="#fff" stroke="#000"/><circle cx="{x}" cy="{y}" r="6"/>'
            for x, y in (HOME, WITHDRAWN)
        ),
        *(
            f'<rect x="{x - 50}" y="{y - 18}" width="100" height="36" rx="8" fill="#e6f2f1" stroke="#000"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle">{state}</text>'
            for state, (x, y) in WHERE.items()
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(start: State | None, end: State | None, words: list[str]) -> str:
    first = WHERE[start] if start else BEGINNING
    last = WHERE[end] if end else (WITHDRAWN if start in {State.PREPARED, State.UNCERTAIN} else HOME)
    middle = ((first[0] + last[0]) // 2, (first[1] + last[1]) // 2)
    bend = BENDS.get((start, end), middle)
    (x1, y1), (x2, y2) = _edge(first, bend, is_state=start is not None), _edge(last, bend, is_state=end is not None)
    x, y = (middle[0] + bend[0]) // 2, (middle[1] + bend[1]) // 2
    text = "".join(
        f'<tspan x="{x}" dy="{0 if line == 0 else 15}">{word}</tspan>' for line, word in enumerate(sorted(words))
    )
    return (
        f'<path d="M{x1} {y1} Q{bend[0]} {bend[1]} {x2} {y2}" fill="none" stroke="#000" marker-end="url(#tip)"/>'
        f'<text y="{y - 8 * len(words) + 9}" text-anchor="middle" stroke="#fff" stroke-width="4" paint-order="stroke">'
        f"{text}</text>"
    )


def _edge(middle: tuple[int, int], towards: tuple[int, int], *, is_state: bool) -> tuple[int, int]:
    """Where a line from the middle of a box, or of a circle, to a point leaves it."""
    width, height = (50, 18) if is_state else (11, 11)
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    scale = min(width / abs(dx) if dx else 9.0, height / abs(dy) if dy else 9.0)
    return round(middle[0] + dx * scale), round(middle[1] + dy * scale)


def life() -> str:
    """The picture and the tables of a claim's life."""
    states = [state for state in State if (state, Place.HOST) in DECISIONS]
    triggers = [(f"`{trigger.name.lower()}`", trigger.value) for trigger in Trigger]
    decisions = [(state, *(DECISIONS[state, place] for place in Place)) for state in states]
    outcomes = [(trace, *(OUTCOMES[trace, candidate] for candidate in Candidate)) for trace in Trace]
    return "\n".join(
        (
            "![The life of a claim: prepared, planned, held, returning, home](life.svg)",
            "",
            "A reboot ends every claim (`rebooted`), and `nri-netdev release` whatever is still wrong (`given_up`).",
            "",
            _table(("trigger", "what has happened"), triggers),
            "What is done, by state and place, once the engine has reported the holder (not of prepared claims):",
            "",
            _table(("state", *Place), decisions),
            "What is done with an uncertain claim, by what the kernel shows of its interface and who may have it:",
            "",
            _table(("interface", *Candidate), outcomes),
        )
    )


def facets() -> str:
    """The facets, with what is done about each."""
    rows = ((facet.title, _done(facet), "; ".join(_expected(facet))) for facet in FACETS)
    return _table(("what is compared", "at home", "what may differ, and why"), rows)


def _done(facet: Facet) -> str:
    done = "told" if facet.put is None else "put back"
    return f"{done}; what is left of a pod keeps it from the next" if facet.withholds else done


def _expected(facet: Facet) -> Iterable[str]:
    """What may differ, by the reason."""
    reasons: dict[str, list[str]] = {}
    for what, why in facet.expected.items():
        reasons.setdefault(why, []).append(what)
    return (f"{', '.join(whats)}: {why}" for why, whats in reasons.items())


def annotation_fields() -> str:
    """The fields of a native entry."""
    return _fields(GRAMMARS[Grammar.NATIVE].record.members)


def fields_within() -> str:
    """The fields of the mappings that a field of a setup may be, or may be a list of."""
    rows = []
    for field, member in SETUP_FIELDS.items():
        of_every_device = SETUP_FIELDS if isinstance(member.shape, OneOrList) else {}
        for name, part in _within(member.shape).items():
            if name not in of_every_device:
                rows.append((f"`{field}`", f"`{name}`", _meaning(part), _needed(part)))
    return _table(("field", "within it", "meaning", "default"), rows)


def ipam_fields() -> str:
    """What a pod may tell each IPAM plugin."""
    rows = [
        (f"`{plugin}`", f"`{name}`", member.text, _needed(member))
        for plugin, record in PLUGINS.items()
        for name, member in record.members.items()
        if name != "type" or len(record.members) == 1
    ]
    return _table(("`type`", "within it", "meaning", "default"), rows)


def setup_steps() -> str:
    """The order in which a setup is applied."""
    return _table(("", "step", "what is set"), [(str(n), step.name, step.text) for n, step in enumerate(STEPS, 1)])


def _within(shape: object) -> Mapping[str, Member]:
    """The members of the mapping that a shape is, or is a list of; empty if there is none."""
    match shape:
        case Record(members=members):
            return members
        case TextOr(record=record):
            return record.members
        case ListOf(item=item) | OneOrList(item=item):
            return _within(item)
    return {}


def _meaning(member: Member) -> str:
    known = member.shape.key.json.get("enum") if isinstance(member.shape, MapOf) else None
    return f"{member.text}: {', '.join(f'`{name}`' for name in known)}" if known else member.text


def annotation_keys() -> str:
    """The keys of the three grammars, in the order in which they are looked for."""
    rows = [
        (source.grammar, f"`{source.key}`", "the container NAME" if source.scope is Scope.CONTAINER else "the pod")
        for source in candidates(container="NAME")
    ]
    return _table(("grammar", "key", "for"), rows)


def others_fields() -> str:
    """The fields of the grammars that are not ours."""
    rows = [
        (grammar, f"`{name}`", member.text)
        for grammar, spec in GRAMMARS.items()
        if spec.is_go
        for name, member in spec.record.members.items()
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
    item: Any = RULES.item
    record: Record[Any] = item
    return _members(record.members)


def selector_fields() -> str:
    """The fields of a selector."""
    return _fields(FIELDS)


def _fields(members: Mapping[str, Member]) -> str:
    rows = [
        (f"`{name}`", member.text, f"`{member.example}`" if member.example else "") for name, member in members.items()
    ]
    return _table(("field", "meaning", "example"), rows)


def _members(members: Mapping[str, Member]) -> str:
    rows = [(f"`{name}`", member.text, _needed(member)) for name, member in members.items()]
    return _table(("key", "meaning", "default"), rows)


def _needed(member: Member) -> str:
    return "needed" if member.is_required else _default(member.default)


def _default(default: str | tuple[str, ...] | None) -> str:
    text = f"[{', '.join(default)}]" if isinstance(default, tuple) else default
    return f"`{text}`" if text else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


DRAWN: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "custody.md": {
        "nri_netdev/domain/life.py": life,
        "nri_netdev/shells/kernel/facets": facets,
    },
    "annotations.md": {
        "nri_netdev/domain/annotations/grammars.py: keys": annotation_keys,
        "nri_netdev/domain/annotations/grammars.py: fields": annotation_fields,
        "nri_netdev/domain/setup/fields.py": fields_within,
        "nri_netdev/domain/setup/ipam.py": ipam_fields,
        "nri_netdev/shells/kernel/setup/apply.py": setup_steps,
        "nri_netdev/domain/annotations/grammars.py: fields of others": others_fields,
        "nri_netdev/domain/text/names.py": names,
        "nri_netdev/domain/annotations/request.py and yaml_nodes.py": limits,
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
    for subject, schema in (("config", configuration_schema()), ("annotation", annotation_schema())):
        wanted[DOCS / f"{subject}.schema.json"] = json.dumps(schema, indent=2) + "\n"
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
