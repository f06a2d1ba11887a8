"""Pins are raised to the newest, in a copy alone."""

import shutil
from pathlib import Path

import pytest

from tests.e2e import tools
from tests.e2e.golang import required_version
from tests.e2e.toolbox import OTHERS, MissingError
from tests.newest import pins
from tests.newest.pins import GoPin, Version
from tests.wire.upstream.engine import DRIVER

NRI = "github.com/containerd/nri"


@pytest.mark.parametrize(("is_pre", "expected"), [(False, "v1.5.3"), (True, "v1.6.0-rc.1")])
def test_newest(is_pre: bool, expected: str) -> None:
    """A pre-release counts only where it is asked for."""
    assert pins.newest_of(["v1.5.0-rc.2", "v1.5.3", "v1.6.0-rc.1"], is_pre=is_pre) == expected


def test_a_release_is_newer_than_its_candidates() -> None:
    """When it is out, it is what is tried."""
    assert pins.newest_of(["v1.6.0-rc.1", "v1.6.0"], is_pre=True) == "v1.6.0"


def test_no_version() -> None:
    """Is told, not taken for the newest."""
    with pytest.raises(MissingError):
        pins.newest_of(["v0.1.0-rc.1"])


@pytest.mark.upstream
def test_a_go_module_is_raised(tmp_path: Path) -> None:
    """The go.mod of the copy requires the newest, and builds."""
    shutil.copytree(DRIVER, tmp_path / "driver")
    for file in ("mod", "sum"):
        shutil.copy(DRIVER / f"v0_11.{file}", tmp_path / "driver" / f"go.{file}")

    raised = pins.raise_go(tmp_path, GoPin(part="NRI", module=NRI, directory="driver"))

    assert raised == Version(part="NRI", pinned="v0.11.0", newest=raised.newest)
    assert raised.newest == required_version(tmp_path / "driver", NRI) != "v0.11.0"
    pins._go(tmp_path / "driver", "build", "-tags=nri_no_wasm", "-buildvcs=false", "-o", str(tmp_path / "engine"))


@pytest.mark.upstream
def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    """Why is told, and the pin stays."""
    tmp_path.joinpath("go.mod").write_text("module x\n\ngo 1.24\n\nrequire (\n\texample.invalid/none v1.0.0\n)\n")

    raised = pins.raise_go(tmp_path, GoPin(part="none", module="example.invalid/none", directory="."))

    assert (raised.pinned, raised.newest) == ("v1.0.0", "")
    assert "example.invalid/none" in raised.wrong


@pytest.mark.upstream
def test_replaced_as_the_module_itself_does() -> None:
    """Kubernetes has its parts in directories of its own; we name the same releases as it is checked in."""
    directory = tools.PINS / "kubernetes"
    version = required_version(directory, "k8s.io/kubernetes")

    replaced = set(pins._replacements(directory, "k8s.io/kubernetes", version))

    assert f"k8s.io/api=k8s.io/api@v0.{version.removeprefix('v1.')}" in replaced
    ours = set(directory.joinpath("go.mod").read_text().replace("\t", "").replace(" => ", "=").splitlines())
    assert {line.replace("@", " ") for line in replaced} <= ours


def test_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no go.mod pins is written into the copy's file; what cannot be found out stays, and why is told."""

    def fail() -> str:
        raise MissingError("no registry answers")

    copy = tmp_path / "tests" / "e2e" / "pins" / "others.toml"
    copy.parent.mkdir(parents=True)
    shutil.copy(tools.PINS / "others.toml", copy)
    monkeypatch.setattr(pins, "_OTHERS", {"debian": ("Debian", lambda: "sid"), "youki": ("youki", fail)})

    debian, youki = pins.raise_others(tmp_path)

    assert (debian.pinned, debian.newest) == (OTHERS["debian"], "sid")
    assert (youki.pinned, youki.newest, youki.wrong) == (OTHERS["youki"], "", "no registry answers")
    assert 'debian = "sid"' in copy.read_text()
    assert f'youki = "{OTHERS["youki"]}"' in copy.read_text()
