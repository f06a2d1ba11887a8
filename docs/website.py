"""Give the site the shape of the repository, so that one link is right in both.

A hook of ProperDocs (`properdocs.yml`). The README is the front page, other pages keep their paths, and a link from a
page to a file that is no page, as a manifest or a test, leads to a copy of that file. A link to what is not there, or
to a directory, stays broken, and a strict build fails on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files

PAGES = ("*.md", "docs/**/*.md")


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """All that the site is made of, by its path in the repository; of `files` only what belongs to the theme."""
    root = Path(config.config_file_path).resolve().parent
    pages = sorted(path for pattern in PAGES for path in root.glob(pattern))
    linked = sorted({path for page in pages for path in _linked(page) if path.is_relative_to(root)} - set(pages))
    theirs = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*theirs, *(_file(path, root, config) for path in [*pages, *linked])])


def _file(path: Path, root: Path, config: ProperDocsConfig) -> File:
    return File(path.relative_to(root).as_posix(), str(root), config.site_dir, config.use_directory_urls)


def _linked(page: Path) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)\s#:]+)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if path.is_file():
            yield path
