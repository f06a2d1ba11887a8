"""Which files an engine's configuration has, in the order of reading; the real engines are asked in tests/e2e."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nri_netdev.cli.engine_files import containerd_files, crio_files, exists, read_file
from nri_netdev.errors import ConfigurationError

MAIN = Path("/etc/containerd/config.toml")


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def importing(*patterns: str) -> str:
    return f"imports = {list(patterns)}\n"


IMPORTS = {
    "none": ({"etc/containerd/config.toml": ""}, ["config.toml"]),
    "relative to the file": (
        {"etc/containerd/config.toml": importing("conf.d/a.toml"), "etc/containerd/conf.d/a.toml": ""},
        ["config.toml", "conf.d/a.toml"],
    ),
    "upwards": (
        {"etc/containerd/config.toml": importing("../more/a.toml"), "etc/more/a.toml": ""},
        ["config.toml", "/etc/more/a.toml"],
    ),
    "a pattern, in order": (
        {
            "etc/containerd/config.toml": importing("/etc/containerd/*.d/*.toml"),
            "etc/containerd/b.d/1.toml": "", "etc/containerd/a.d/2.toml": "", "etc/containerd/a.d/.1.toml": "",
            "etc/containerd/a.d/3.conf": "",
        },
        ["config.toml", "a.d/.1.toml", "a.d/2.toml", "b.d/1.toml"],
    ),
    "a pattern that nothing matches": ({"etc/containerd/config.toml": importing("/nowhere/*.toml")}, ["config.toml"]),
    "nested ones come last": (
        {
            "etc/containerd/config.toml": importing("a/one.toml", "two.toml"),
            "etc/containerd/a/one.toml": importing("three.toml"), "etc/containerd/a/three.toml": "",
            "etc/containerd/two.toml": "",
        },
        ["config.toml", "a/one.toml", "two.toml", "a/three.toml"],
    ),
    "a loop ends": (
        {
            "etc/containerd/config.toml": importing("one.toml", "config.toml"),
            "etc/containerd/one.toml": importing("./config.toml", "/etc/containerd/one.toml"),
        },
        ["config.toml", "one.toml"],
    ),
    "not a list of texts": ({"etc/containerd/config.toml": "imports = 'x'"}, ["config.toml"]),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "expected"), IMPORTS.values(), ids=IMPORTS.keys())
def test_imports_of_containerd(tmp_path: Path, texts: dict[str, str], expected: list[str]) -> None:
    """Each file once, and after the file that imports it."""
    write(tmp_path, texts)
    found = [file.name for file in containerd_files(MAIN, root=tmp_path)]
    assert found == [str(MAIN.parent / name) for name in expected]


def test_drop_ins_of_crio(tmp_path: Path) -> None:
    """Every file in the directory and below it, whatever its name, in order; the file before them may be missing."""
    write(tmp_path, {"d/b.conf": "", "d/a.conf~": "", "d/a/z": "", "d/c": ""})
    names = ["/d/a/z", "/d/a.conf~", "/d/b.conf", "/d/c"]
    assert [file.name for file in crio_files(Path("/crio.conf"), Path("/d"), root=tmp_path)] == names
    write(tmp_path, {"crio.conf": ""})
    assert [file.name for file in crio_files(Path("/crio.conf"), Path("/d"), root=tmp_path)] == ["/crio.conf", *names]
    assert [file.name for file in crio_files(Path("/crio.conf"), Path("/none"), root=tmp_path)] == ["/crio.conf"]


def test_links_lead_where_they_lead_the_engine(tmp_path: Path) -> None:
    """An absolute one starts at the engine's root; one to itself ends."""
    write(tmp_path, {"real/config.toml": "version = 3", "outside": "version = 9"})
    root = tmp_path / "host"
    write(root, {"real/config.toml": "version = 2"})
    for name, target in {"absolute": "/real", "relative": "x/../real", "up": "../../../real", "loop": "loop"}.items():
        (root / name).symlink_to(target)
    (root / "x").mkdir()
    for name in ("absolute", "relative", "up"):
        assert read_file(Path("/", name, "config.toml"), root=root).document == {"version": 2}
    with pytest.raises(ConfigurationError, match=r"cannot read /loop/config\.toml: "):
        read_file(Path("/loop/config.toml"), root=root)
    assert not exists(Path("/../outside"), root=root)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Is named, as the file that it is."""
    write(tmp_path, {"nonsense.toml": "= 1", "main.toml": importing("gone.toml")})
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    os.mkfifo(tmp_path / "pipe.toml")
    for name, reason in {
        "nonsense": "nonsense.toml: Invalid",
        "latin": "latin.toml: 'utf-8'",
        "pipe": "pipe.toml: it is not a file",
        "main": "gone.toml: No such file",
    }.items():
        with pytest.raises(ConfigurationError, match=f"^cannot read .*{reason}"):
            list(containerd_files(tmp_path / f"{name}.toml"))
