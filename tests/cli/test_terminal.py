"""What a terminal can show, and questions at it."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from nri_netdev.cli.terminal import is_agreed, show_every_character


def test_an_encoding_that_lacks_a_character() -> None:
    """It is escaped."""
    code = "from nri_netdev.cli.terminal import show_every_character as show; show(); print('caf\\xe9 \\u4e00')"
    environment = {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == b"caf\xe9 \\u4e00\n"


def test_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a text that a test reads: it is left alone."""
    monkeypatch.setattr("sys.stdout", text := io.StringIO())
    show_every_character()
    print("\u4e00")
    assert text.getvalue() == "\u4e00\n"


@pytest.mark.parametrize(("said", "agreed"), [("y\n", True), (" YES \n", True), ("\n", False), ("no\n", False)])
def test_a_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, agreed: bool
) -> None:
    """No, unless somebody says yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    assert is_agreed("Sure?") is agreed
    assert capsys.readouterr().out == "Sure? [y/N] "


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a no, with what to say instead."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert not is_agreed("Sure?")
    assert capsys.readouterr().err == "nobody answers; say --yes\n"
