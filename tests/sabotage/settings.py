"""What a setting is, and how a table of them becomes commands."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_CHOICE = re.compile(r"\[([^]]*\|[^]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that somebody sets.

    In a command `{dev}` is the interface, `{bpf}` the directory of pinned programs, `[a|b]` a choice. A command is a
    line of sh, except `@tcx-ingress attach` and the like, which `tests.sabotage.bpf` carries out. A kernel may refuse:
    then that was not set.
    """

    name: str
    commands: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Settings of the same table that come before."""
    kinds: tuple[str, ...] = ()
    """Link kinds that have it; empty for all."""


Table = Mapping[str, Setting]


def table(*rows: Setting) -> Table:
    """A table by name."""
    made = {row.name: row for row in rows}
    assert len(made) == len(rows), "a name is there twice"
    return made


def row(name: str, *commands: str, needs: str = "", kinds: str = "") -> Setting:
    """One row; `needs` and `kinds` are words."""
    return Setting(name=name, commands=commands, needs=tuple(needs.split()), kinds=tuple(kinds.split()))


def complete(settings: Table, names: Iterable[str]) -> tuple[Setting, ...]:
    """The settings of these names and all that they need, in the table's order."""
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += settings[name].needs
    return tuple(setting for name, setting in settings.items() if name in wanted)


def chosen(settings: Table, kind: str, count: int, dice: random.Random) -> tuple[Setting, ...]:
    """So many at random, and what they need; choices within commands are made."""
    fitting = [name for name, each in settings.items() if not each.kinds or kind in each.kinds]
    names = dice.sample(fitting, min(count, len(fitting)))
    return tuple(decided(setting, dice) for setting in complete(settings, names))


def decided(setting: Setting, dice: random.Random) -> Setting:
    """The setting with its choices made."""
    commands = tuple(_CHOICE.sub(lambda found: dice.choice(found[1].split("|")), each) for each in setting.commands)
    return Setting(name=setting.name, commands=commands, needs=setting.needs, kinds=setting.kinds)
