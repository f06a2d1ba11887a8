"""Draws what the docs show of the code: the life of a claim, from its tables, into custody.md.

`python docs/draw.py` writes; `python docs/draw.py --check` fails when the page is not what the tables say.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nri_netdev.domain.claim import Holder, Place, State, decide, state_after

PAGE = Path(__file__).with_name("custody.md")
BEGIN, END = "<!-- drawn by `make docs` from nri_netdev/domain/claim.py -->\n", "<!-- /drawn -->\n"


def drawn() -> str:
    """The picture and the table, as Markdown."""
    arrows = sorted(
        {
            (state, after, holder)
            for state in State
            for holder in Holder
            for place in Place
            if (after := state_after(state, place, holder)) is not state
        }
    )
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> planned: granted"]
    lines += [f"    {state} --> {after}: holder {holder}" for state, after, holder in arrows]
    lines += [
        "    planned --> held: adopt",
        "    returning --> [*]: home and whole",
        "    returning --> partial: home, something missing",
        "    returning --> lost: lose",
        "    partial --> [*]: home and whole",
        "    lost --> [*]: home and whole",
        "```",
        "",
        "What is done, by state and place, once the engine has told of the holder:",
        "",
        f"| state | {' | '.join(Place)} |",
        f"|---|{'---|' * len(Place)}",
    ]
    lines += [f"| {state} | {' | '.join(decide(state, place, Holder.PENDING) for place in Place)} |" for state in State]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    wanted = head + BEGIN + drawn() + END + rest.partition(END)[2]
    if "--check" in sys.argv:
        if text != wanted:
            print("docs/custody.md is not what nri_netdev/domain/claim.py says; run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
