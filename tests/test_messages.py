"""docs/troubleshooting.md lists every message and every event that the program can give."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "messages.py"


def test_every_message_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is what the source gives; `make docs` writes it."""
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")

    assert ended.value.code == 0


def test_what_counts_as_a_message(tmp_path: Path) -> None:
    """Texts with values in them, over several lines or not; neither docstrings, SQL nor descriptions."""
    script = runpy.run_path(str(SCRIPT))
    (tmp_path / "module.py").write_text(
        '"""A docstring of many words."""\n'
        "raise Error(f'cannot read {path!r} of '\n 'the pod')\n"
        "db.execute('SELECT claim FROM claims where it is')\n"
        "Member(text='a description of some field')\n"
        "socket = _setting('/run/x', 'a description of some setting')\n"
        "option = {'help': 'a description of some option'}\n"
        "event(log, 10, 'claim.home', ifname='ens1')\n"
    )
    script["messages"].__globals__["PACKAGE"] = tmp_path
    found = [text for texts in script["messages"]().values() for text in texts]

    assert found == ["cannot read … of the pod"]
    assert script["events"]() == {"claim.home"}
