"""The pages that tell an operator what to type, followed to the letter on a cluster: they print what the pages show.

`PAGES=write` writes what was printed into the pages where it is something else, and fails. Lines that it is right to
abridge are for a person to abridge.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nri_netdev import __version__
from tests.e2e import tools
from tests.e2e.container_image import ARCHIVE, ROOT
from tests.e2e.engine import Containerd
from tests.e2e.images import BUSYBOX
from tests.kubernetes.cluster import NODE, Cluster
from tests.kubernetes.nics import Nics
from tests.kubernetes.other_version import write_other_version
from tests.kubernetes.pages import corrected, follow
from tests.kubernetes.product import IMAGE, NAMESPACE

NEXT = "0.1.1"
"""The version that the pages upgrade to."""
REGISTRY = "registry.example/nri-netdev"
CLONE = ("image", "manifests", "nri_netdev")
"""What the pages use of the repository that their reader has cloned."""
_TIMEOUT_S = 150


@pytest.fixture(scope="session")
def registry(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the engine know the images that the pages name, as if it had pulled them."""
    if type(cluster.engine) is not Containerd:
        pytest.skip(f"NOT TESTED ON {cluster.engine.name}: the pages show containerd")
    path = tmp_path_factory.mktemp("next") / "next.tar"
    write_other_version(ARCHIVE, path, name=f"{REGISTRY}:{NEXT}", version=NEXT)
    cluster.engine.load_image(path, "")
    path.unlink()
    names = {IMAGE: f"{REGISTRY}:{__version__}", BUSYBOX: "docker.io/library/busybox:stable"}
    for old, new in names.items():
        cluster.machine.run(tools.BIN / "ctr", "-n", "k8s.io", "images", "tag", old, new)


@pytest.fixture
def empty(registry: None, cluster: Cluster, nics: Nics) -> Iterator[None]:
    """Have a cluster without nri-netdev, with two interfaces on its node; at the end they must be home."""
    del registry
    _remove(cluster)
    nics.add("ens2f0")
    nics.add("ens2f1", is_plain=True)
    yield
    cluster.kubectl("uncordon", NODE)
    cluster.kubectl("delete", "pods", "--all", "-n", "default", "--grace-period=1", timeout_s=120)
    nics.wait_home(timeout_s=30)
    _remove(cluster)


@pytest.fixture
def shell(empty: None, cluster: Cluster, tmp_path: Path) -> Callable[[str], str]:
    """Give a shell on the node, in the directory of the clone; it returns what a command prints, errors included."""
    del empty
    for name in CLONE:
        (tmp_path / name).symlink_to(ROOT / name)
    home = tmp_path / "home"
    path = f"{home}/.local/bin:{cluster.environment['PATH']}"
    environment = {**cluster.environment, "HOME": str(home), "PATH": path}

    def run(command: str) -> str:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with cluster.machine.popen(["sh", "-c", f"cd {tmp_path}\n{command}"], env=environment, **options) as process:
            try:
                return process.communicate(timeout=_TIMEOUT_S)[0]
            except BaseException:
                process.kill()
                raise

    return run


@pytest.mark.parametrize("name", ["first-hour", "operators"])
def test_what_is_typed_prints_what_is_shown(name: str, shell: Callable[[str], str], tmp_path: Path) -> None:
    """From an empty cluster to pods with an interface, to another daemon, and back to an empty cluster."""
    path = ROOT / "docs" / f"{name}.md"
    page = path.read_text(encoding="utf-8")
    assert set(re.findall(r"newTag: (\d[\w.]*)", page)) <= {__version__, NEXT}, (
        "the engine has no image of another version"
    )
    differences = list(follow(page, tmp_path, shell))
    if os.environ.get("PAGES") == "write":
        path.write_text(corrected(page, differences), encoding="utf-8")
    assert not differences, "\n".join(map(str, differences))


def _remove(cluster: Cluster) -> None:
    """Remove nri-netdev from a cluster, however it was installed, and what it leaves on the node."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_s=120)
    kinds = "clusterroles,clusterrolebindings,priorityclasses"
    cluster.kubectl("delete", kinds, "-l", "app.kubernetes.io/name=nri-netdev")
    cluster.machine.run("rm", "-rf", "/run/nri-netdev", "/var/lib/nri-netdev")
