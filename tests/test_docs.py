"""The docs that are drawn from the code show the code, and no link in them leads nowhere."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_life_of_a_claim_is_drawn_from_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/custody.md is what the tables in `nri_netdev.domain.claim` say."""
    monkeypatch.setattr(sys, "argv", ["draw.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(__file__).parent.parent / "docs" / "draw.py"), run_name="__main__")

    assert ended.value.code == 0


ROOT = Path(__file__).parent.parent


def build(root: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    """Build the site of a copy of the docs."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--config-file",
        str(root / "mkdocs.yml"),
        "--site-dir",
        str(site),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_every_link_and_page_of_the_site_is_there(tmp_path: Path) -> None:
    """The site builds, with the README first; a link, an anchor or a page that is not there is an error."""
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    built = build(tmp_path, tmp_path / "site")

    assert built.returncode == 0, built.stderr
    assert "nri-netdev" in (tmp_path / "site" / "index.html").read_text()
    assert (tmp_path / "site" / "adr" / "README.html").exists() or (tmp_path / "site" / "adr" / "index.html").exists()

    users = tmp_path / "docs" / "users.md"
    for wrong in ("[x](nowhere.md)", "[x](policy.md#no-such-heading)"):
        sound = users.read_text()
        users.write_text(f"{sound}\n{wrong}\n")
        assert build(tmp_path, tmp_path / "site").returncode != 0, wrong
        users.write_text(sound)
    (tmp_path / "docs" / "orphan.md").write_text("# A page that nothing leads to\n")
    assert build(tmp_path, tmp_path / "site").returncode != 0
