"""The terminal at which a command is run: what it can show, and a question to who sits there."""

from __future__ import annotations

import io
import sys


def show_every_character() -> None:
    """Have standard output escape what its encoding lacks, and not fail: a pod's words may stand in what is printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def is_agreed(question: str) -> bool:
    """Ask the user; False if standard input is closed."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print("nobody answers; say --yes", file=sys.stderr)
        return False
