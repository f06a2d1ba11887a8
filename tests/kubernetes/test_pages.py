"""What counts as printed what a page shows, and what does not."""

from pathlib import Path

import pytest

from tests.kubernetes.pages import Command, File, corrected, follow, is_as_shown, steps

PAGE = """\
# A page

```yaml
# where/what.yaml
rules: []
```

```console
$ one \\
>   --more
```

- in a list

    ```console
    # not typed
    $ two
    old
    $ three
    three
    ```

```sh
four
```
"""


def test_what_is_typed() -> None:
    """Files and commands in their order; nothing of fences of another kind, nor without a prompt."""
    file, *commands = steps(PAGE)

    assert file == File(name="where/what.yaml", text="# where/what.yaml\nrules: []\n")
    assert [(one.text, list(one.shown)) for one in commands if isinstance(one, Command)] == [
        ("one \\\n  --more", []),
        ("two", ["old"]),
        ("three", ["three"]),
    ]


def test_what_differs_is_told_and_can_be_written(tmp_path: Path) -> None:
    """Only the output that differs is replaced; then nothing differs."""
    printed = {"one \\\n  --more": "", "two": "new\nlines\n", "three": "three\n"}
    differences = list(follow(PAGE, tmp_path, printed.__getitem__))
    page = corrected(PAGE, differences)

    assert [found.command.text for found in differences] == ["two"]
    assert page == PAGE.replace("    old\n", "    new\n    lines\n")
    assert list(follow(page, tmp_path, printed.__getitem__)) == []
    assert (tmp_path / "where" / "what.yaml").read_text() == "# where/what.yaml\nrules: []\n"


def test_a_name_that_was_printed_before(tmp_path: Path) -> None:
    """A command may name it by how it begins; the latest is meant."""
    printed = {"make": "made web-1 and db-1", "again": "made web-2", "drop web-2 db-1 x-…": ""}
    page = "```console\n$ make\n…\n$ again\n…\n$ drop web-… db-… x-…\n```"
    assert list(follow(page, tmp_path, printed.__getitem__)) == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("web   1/1  Running  0  94s", "web   1/1  Running  0  2m3s"),
        ("ens2f0  held  3 min", "ens2f0   held  1 min 2 s"),
        ("link/ether 0e:63:77:1d:1e:26", "link/ether 02:00:00:00:00:01"),
        ("claim=nri-netdev-7ab74012d5a2", "claim=nri-netdev-a096e66cb931"),
        ("nri-netdev-7xk2p 2/2", "nri-netdev-zz9bb 2/2"),
        ("2026-11-27T23:16:20.192Z INFO a", "2027-01-01T00:00:00.000Z INFO a"),
        ("3: net1: mtu 1500 …", "17: net1: mtu 1500 qdisc noqueue"),
        ("3: net1@…: mtu 1500", "5: net1@if4: mtu 1500"),
        ("…\nthis\n…", "that\nand\nthis"),
        ("", ""),
    ],
)
def test_what_is_the_same(shown: str, printed: str) -> None:
    """Values that are others each time are compared by their form, and what is left out is anything."""
    assert is_as_shown(shown.split("\n") if shown else [], printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("web 1/1 Running 0 94s", "web 1/1 Running 1 94s"),
        ("this", "this\nand more"),
        ("this\nand more", "this"),
        ("ens2f0 … free", "ens2f1 veth free"),
        ("mtu 1500", "mtu 9000"),
        ("…\nthis", "this\nthat"),
        ("…\nthis\n…", "that"),
        ("198.51.100.7/24", "198.51.100.8/24"),
        ("", "something"),
        ("something", ""),
    ],
)
def test_what_is_not(shown: str, printed: str) -> None:
    """Everything else."""
    assert not is_as_shown(shown.split("\n") if shown else [], printed)
