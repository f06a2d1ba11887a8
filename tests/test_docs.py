"""The docs that are drawn from the code show the code, and all of them make a site without a broken link."""

import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a repository as `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "properdocs", "build", "--site-dir", str(site)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    built = build(ROOT, site)
    assert built.returncode == 0, built.stderr
    return site


def html(site: Path, page: Path) -> str:
    """A page as it is on the site."""
    path = site / page.with_name("index.md" if page.name == "README.md" else page.name).with_suffix(".html")
    return path.read_text(encoding="utf-8")


def test_what_is_drawn_from_the_code_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The life of a claim, and every table of keys, fields and bounds, is what the tables of the code say."""
    monkeypatch.setattr(sys, "argv", ["draw.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "docs" / "draw.py"), run_name="__main__")

    assert ended.value.code == 0


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_shows_the_same_here_and_there(site: Path, page: Path) -> None:
    """A forge and the site, which read Markdown differently, find the same lists, tables, headings and code in it."""
    elements = r"<(li|ul|ol|table|tr|pre|code|h[1-6]|strong|img|a)\b(?! class=\"headerlink\")"
    forge = MarkdownIt("commonmark").enable("table").render((ROOT / page).read_text(encoding="utf-8"))
    main = re.search(
        r'<div class="col-md-9" role="main">(.*?)</div>\s*</div>\s*</div>\s*<footer', html(site, page), re.DOTALL
    )
    assert main

    assert Counter(re.findall(elements, forge)) == Counter(re.findall(elements, main[1]))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own: it works where there is no way out."""
    loaded = (
        r"<(?:script|img|iframe)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*\shref=\"(?:https?:)?//|url\([\"']?(?:https?:)?//"
    )
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".svg"}]
    found = {path.name: match[0] for path in files if (match := re.search(loaded, path.read_text(encoding="utf-8")))}

    assert len(files) > len(PAGES)
    assert not found


def test_a_broken_link_or_a_page_that_is_nowhere_fails_the_build(tmp_path: Path) -> None:
    """The build tells of links to pages and headings that are not there, and of pages that no menu leads to."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("properdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, root)
    (root / "docs" / "faq.md").write_text("[1](gone.md) [2](users.md#gone) [3](../gone.yaml) [4](../docs)\n")
    (root / "docs" / "stray.md").write_text("# Stray\n")
    built = build(root, tmp_path / "site")

    assert built.returncode != 0
    for words in ("'gone.md'", "'#gone'", "'../gone.yaml'", "'../docs'", "docs/stray.md"):
        assert words in built.stderr
