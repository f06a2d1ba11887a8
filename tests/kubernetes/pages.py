"""Pages of the docs that are followed to the letter: files written, commands run, outputs compared.

A fence of `yaml` whose first line is a comment with a path is a file. A fence of `console` has commands after `$ `,
where kubectl is, or `node# `, as root on a node. Lines after `> ` go on with a command; what follows is what it prints,
errors included. There `…` stands for anything within a line, and a line of `…` alone for any lines. In a command it is
the rest of a word that was printed before. What is another each time is compared by its form: see `_FORMS`.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROMPTS = ("$ ", "node# ")
_GOES_ON = "> "
_LOOKS = re.compile(r"(ip|ls|cat|kubectl (-n \S+ )?(get|describe|logs|exec|events|netdev (?!release)))\b")
"""Commands that only look. Whoever follows the page looks again where something takes a moment; so does the test."""
PATIENCE_S = 30
_FENCE = re.compile(r"( *)```(\w*)")
_FILE = re.compile(r"# (\S+\.yaml)")
_FORMS = (
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
    (r"\bfe80::[0-9a-f:]+", "LINK-LOCAL"),
    (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
    (r"\bnri-netdev-[0-9a-f]{12}\b", "nri-netdev-CLAIM"),
    (r"\bnri-netdev-[0-9a-z]{5}\b", "nri-netdev-POD"),
    (r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} [+-]\d{4}", "TIME"),
    (r"\d{4}-\d\d-\d\d[T ][\d:.]{8,}(Z|[+-]\d{4})?", "TIME"),
    (r"\b\d+[smhd](\d+[smh])*\b|\b\d+ (s|min|h|d)\b( \d+ (s|min|h)\b)?", "AGE"),
    (r"^\d+: ", "NUMBER: "),
    (r"(@if|\bifindex=|\bprocess )\d+", r"\1NUMBER"),
    (r" +", " "),
)
"""Patterns of what differs from run to run, and what is compared in its place: times, ages, names and ids that are made
up, numbers of the kernel, and columns that are as wide as these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that the page shows."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command and what the page says that it prints.

    Attributes:
        first: line of the page, from 0, with the first line of the output.
        indent: what stands before each line of the fence.
    """

    text: str
    shown: Sequence[str]
    first: int
    indent: str

    @property
    def only_looks(self) -> bool:
        """Whether it can be run again."""
        return bool(_LOOKS.match(self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A command that printed something else."""

    command: Command
    printed: str

    def __str__(self) -> str:
        shown = "\n".join(self.command.shown)
        return f"$ {self.command.text}\n--- the page, line {self.command.first}\n{shown}\n--- here\n{self.printed}"


def steps(page: str) -> list[File | Command]:
    """Return the files and commands of a page, in order."""
    found: list[File | Command] = []
    for kind, indent, first, lines in _fences(page):
        if kind == "console":
            found += _commands(lines, first, indent)
        elif kind == "yaml" and lines and (name := _FILE.fullmatch(lines[0])):
            found.append(File(name=name[1], text="\n".join(lines) + "\n"))
    return found


def follow(page: str, directory: Path, run: Callable[[str], str]) -> Iterator[Difference]:
    """Follow a page, and give each difference as soon as it is found.

    Args:
        page: its text.
        directory: where files are written; commands are to run there.
        run: runs a command in a shell and returns what it prints.
    """
    words: list[str] = []
    for step in steps(page):
        if isinstance(step, File):
            path = directory / step.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text, encoding="utf-8")
            continue
        text = _completed(step.text, words)
        printed = run(text)
        until_s = time.monotonic() + PATIENCE_S
        while not is_as_shown(step.shown, printed) and step.only_looks and time.monotonic() < until_s:
            time.sleep(0.5)
            printed = run(text)
        words += printed.split()
        if not is_as_shown(step.shown, printed):
            yield Difference(command=step, printed=printed)


def is_as_shown(shown: Sequence[str], printed: str) -> bool:
    """Tell whether what was printed is what a page shows."""
    pattern = "".join(_pattern(_form(line)) for line in shown)
    text = "".join(_form(line) + "\n" for line in printed.rstrip("\n").split("\n")) if printed.strip() else ""
    return re.fullmatch(pattern, text) is not None


def corrected(page: str, differences: Sequence[Difference]) -> str:
    """Return a page with what was printed in the place of what it showed."""
    lines = page.split("\n")
    for found in sorted(differences, key=lambda found: -found.command.first):
        first, indent = found.command.first, found.command.indent
        new = found.printed.rstrip("\n").split("\n") if found.printed.strip() else []
        lines[first : first + len(found.command.shown)] = [f"{indent}{line}".rstrip() for line in new]
    return "\n".join(lines)


def _completed(command: str, words: Sequence[str]) -> str:
    """Return a command with each `…` as what the latest word has there that begins as it does."""

    def word(match: re.Match[str]) -> str:
        return next((found for found in reversed(words) if found.startswith(match[1])), match[0])

    return re.sub(r"(\S+)…", word, command)


def _fences(page: str) -> Iterator[tuple[str, str, int, list[str]]]:
    """Give each fence: kind, indentation, number of the line after its first, and its lines without indentation."""
    kind, indent, first, inside = "", "", 0, None
    for number, line in enumerate(page.split("\n")):
        fence = _FENCE.fullmatch(line)
        if inside is None and fence:
            indent, kind, first, inside = fence[1], fence[2], number + 1, []
        elif inside is not None and fence:
            yield kind, indent, first, inside
            inside = None
        elif inside is not None:
            inside.append(line.removeprefix(indent))


def _commands(lines: Sequence[str], first: int, indent: str) -> Iterator[Command]:
    numbers = [number for number, line in enumerate(lines) if line.startswith(PROMPTS)]
    for begin, end in itertools.pairwise([*numbers, len(lines)]):
        text = [lines[begin].partition(" ")[2]]
        after = begin + 1
        while after < end and lines[after].startswith(_GOES_ON):
            text.append(lines[after].removeprefix(_GOES_ON))
            after += 1
        yield Command(text="\n".join(text), shown=lines[after:end], first=first + after, indent=indent)


def _form(line: str) -> str:
    for pattern, form in _FORMS:
        line = re.sub(pattern, form, line)
    return line.strip()


def _pattern(line: str) -> str:
    return r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
