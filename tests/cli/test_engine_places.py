"""Where an engine's configuration is found: by its process, else in the places of installers."""

from __future__ import annotations

import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nri_netdev.cli.engine_config import EngineName
from nri_netdev.cli.engine_files import EngineFile
from nri_netdev.cli.engine_places import (
    PLACES,
    ConfigPlace,
    environment,
    files_of,
    place_of_file,
    places,
    started_s,
    where_to_write,
)
from tests.cli.test_engine_files import write

CONTAINERD, CRIO = EngineName


@contextmanager
def process(directory: Path, *arguments: str, **environ: str) -> Iterator[int]:
    """A process with the command line of an engine, in a directory; it only waits."""
    script = directory / "wait.sh"
    script.write_text("echo; read -r end\n")
    pipe = subprocess.PIPE
    argv = [arguments[0], script, *arguments[1:]]
    with subprocess.Popen(argv, executable="/bin/sh", cwd=directory, env=environ, stdin=pipe, stdout=pipe) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdout.readline()
        yield started.pid
        started.stdin.close()


COMMAND_LINES = {
    "containerd": (["containerd"], {}, "/etc/containerd/config.toml", None),
    "-c, as k3s": (["containerd", "-c", "/k3s.toml", "-a", "/sock"], {}, "/k3s.toml", None),
    "--config=": (["/usr/bin/containerd", "--log-level", "info", "--config=/x.toml"], {}, "/x.toml", None),
    "relative": (["containerd", "--config", "x.toml"], {}, "x.toml", None),
    "CRI-O": (["crio"], {}, "/etc/crio/crio.conf", "/etc/crio/crio.conf.d"),
    "CRI-O, both": (["/usr/bin/crio", "-c", "/x.conf", "-d", "/x.d"], {}, "/x.conf", "/x.d"),
    "CRI-O, environment": (["crio"], {"CONTAINER_CONFIG": "/e.conf"}, "/e.conf", "/etc/crio/crio.conf.d"),
    "not containerd's": (["containerd"], {"CONTAINER_CONFIG": "/e.conf"}, "/etc/containerd/config.toml", None),
}


@pytest.mark.parametrize(("arguments", "environ", "path", "drop_ins"), COMMAND_LINES.values(), ids=COMMAND_LINES.keys())
def test_a_running_engine(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], path: str, drop_ins: str | None
) -> None:
    """Tells by its command line; what is relative starts at its working directory."""
    with process(tmp_path, *arguments, **environ) as pid:
        (place,) = places(pid)
        assert place in places()
    assert (place.path, place.drop_ins) == (tmp_path / path, drop_ins and Path(drop_ins))
    assert (place.pid, place.is_here, place.options) == (pid, True, {})


def test_options_over_files(tmp_path: Path) -> None:
    """What CRI-O's command line says of NRI comes after every file."""
    options = ["--enable-nri=false", "--nri-listen", "/x.sock", "--nri-enable-default-validator"]
    write(tmp_path, {"c": "a = 1"})
    with process(tmp_path, "crio", "-c", "c", "-d", "none", *options) as pid:
        (place,) = places(pid)
        main, last = files_of(place)
    assert main.name == str(tmp_path / "c")
    assert last.name == f"the command line of process {pid}"
    validator = {"nri_enable_default_validator": True}
    table = {"enable_nri": False, "nri_listen": "/x.sock", "default_validator": validator}
    assert last.document == {"crio": {"nri": table}}


def test_another_program(tmp_path: Path) -> None:
    """Is no engine."""
    with process(tmp_path, "containerd-shim-runc-v2", "--config", "x") as pid:
        assert all(place.pid != pid for place in (*places(), *places(pid)))
    assert all(place.pid != pid for place in places(pid))


def test_a_process(tmp_path: Path) -> None:
    """Its start and its environment; none of one that is not there."""
    before = time.time()
    with process(tmp_path, "containerd", PATH="/here") as pid:
        started = started_s(pid)
        assert started is not None
        assert before - 2 <= started <= time.time() + 2
        assert environment(pid) == {"PATH": "/here"}
    assert (started_s(pid), environment(pid)) == (None, {})


def test_a_running_engine_without_a_file(tmp_path: Path) -> None:
    """Has its defaults."""
    with process(tmp_path, "containerd", "--config", "none.toml") as pid:
        (place,) = places(pid)
        assert files_of(place) == ()


@pytest.mark.parametrize("known", PLACES, ids=lambda place: str(place.path))
def test_the_places_of_installers(tmp_path: Path, known: ConfigPlace) -> None:
    """Are looked at below a root."""
    assert places(root=tmp_path) == ()
    write(tmp_path, {str(known.path).lstrip("/"): "version = 3"})
    (place,) = places(root=tmp_path)
    assert (place.path, place.root, place.is_here) == (known.path, tmp_path, False)
    assert [file.name for file in files_of(place)] == [str(known.path)]


def test_crio_with_drop_ins_only(tmp_path: Path) -> None:
    """Is found by them."""
    write(tmp_path, {"etc/crio/crio.conf.d/10-crio.conf": "[crio]"})
    (place,) = places(root=tmp_path)
    assert [file.name for file in files_of(place)] == ["/etc/crio/crio.conf.d/10-crio.conf"]


def test_a_file_that_is_named(tmp_path: Path) -> None:
    """CRI-O's has its directory beside it."""
    assert place_of_file(CRIO, tmp_path / "x").drop_ins == tmp_path / "x.d"
    assert place_of_file(CONTAINERD, tmp_path / "x").drop_ins is None


K3S = "/var/lib/rancher/k3s/agent/etc/containerd"
WRITE = {
    # the configuration, its text, which file says otherwise: where to write, what to restart
    "containerd": ("/etc/containerd/config.toml", "version = 3", "", "/etc/containerd/config.toml", "containerd"),
    "containerd with drop-ins": (
        "/etc/containerd/config.toml", "imports = ['/etc/containerd/conf.d/*.toml']", "",
        "a new file /etc/containerd/conf.d/99-nri.toml", "containerd",
    ),
    "containerd with drop-ins, said in its file": (
        "/etc/containerd/config.toml", "imports = ['conf.d/*.toml']", "/etc/containerd/config.toml",
        "/etc/containerd/config.toml", "containerd",
    ),
    "said in a drop-in": (
        "/etc/containerd/config.toml", "imports = ['conf.d/*.toml']", "/etc/containerd/conf.d/x.toml",
        "/etc/containerd/conf.d/x.toml", "containerd",
    ),
    "k3s": (
        f"{K3S}/config.toml", "version = 3", f"{K3S}/config.toml",
        f'{K3S}/config-v3.toml.tmpl, which begins with {{{{ template "base" . }}}}', "k3s",
    ),
    "k3s, containerd 1.7": (
        f"{K3S}/config.toml", "version = 2", "",
        f'{K3S}/config.toml.tmpl, which begins with {{{{ template "base" . }}}}', "k3s",
    ),
    "k3s with drop-ins": (
        f"{K3S}/config.toml", f"version = 3\nimports = ['{K3S}/config-v3.toml.d/*.toml']", f"{K3S}/config.toml",
        f"a new file {K3S}/config-v3.toml.d/99-nri.toml", "k3s",
    ),
    "rke2, elsewhere": (
        "/data/rke2/agent/etc/containerd/config.toml", "version = 3", "",
        '/data/rke2/agent/etc/containerd/config-v3.toml.tmpl, which begins with {{ template "base" . }}', "rke2",
    ),
    "microk8s": (
        "/var/snap/microk8s/current/args/containerd.toml", "version = 2", "",
        "/var/snap/microk8s/current/args/containerd-template.toml", "microk8s",
    ),
    "k0s": (
        "/etc/k0s/containerd.toml", "version = 3\nimports = ['/etc/k0s/containerd.d/*.toml']", "",
        "a new file /etc/k0s/containerd.d/99-nri.toml", "k0s",
    ),
    "k0s, as it was": (
        "/etc/k0s/containerd.toml", "version = 2\nimports = ['/run/k0s/containerd-cri.toml']", "",
        "a new file /etc/k0s/containerd.d/99-nri.toml", "k0s",
    ),
    "k0s, not managed": ("/etc/k0s/containerd.toml", "version = 3", "", "/etc/k0s/containerd.toml", "k0s"),
    "Talos": (
        "/etc/cri/containerd.toml", "version = 3\nimports = ['/etc/cri/conf.d/cri.toml']", "/etc/cri/conf.d/cri.toml",
        "the machine configuration, as /etc/cri/conf.d/20-customization.part", "the node",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "text", "saying", "where", "restart"), WRITE.values(), ids=WRITE.keys())
def test_where_to_write(path: str, text: str, saying: str, where: str, restart: str) -> None:
    """Never into what is written anew at each start."""
    place = ConfigPlace(kind=CONTAINERD, path=Path(path))
    files = [EngineFile(name=path, document=tomllib.loads(text))]
    assert where_to_write(place, files, saying=saying) == (where, restart)


def test_where_to_write_for_crio() -> None:
    """A drop-in that comes last."""
    assert where_to_write(PLACES[1], ()) == ("a new file /etc/crio/crio.conf.d/99-nri.conf", "CRI-O")
    assert where_to_write(PLACES[1], (), saying="/etc/crio/crio.conf") == ("/etc/crio/crio.conf", "CRI-O")


@pytest.mark.root
def test_another_mount_namespace(tmp_path: Path) -> None:
    """Is read as it is there, and its engine is not taken for this node's."""
    inner = tmp_path / "inner"
    inner.mkdir()
    script = f"mount -t tmpfs tmpfs {inner}; echo 'version = 2' > {inner}/c.toml; cd {inner}; echo; read -r end"
    (tmp_path / "run.sh").write_text(script)
    argv = ["unshare", "--mount", "bash", "-c", f"exec -a containerd sh {tmp_path}/run.sh --config c.toml"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdout.readline()
        (place,) = places(started.pid)
        assert place.root == Path(f"/proc/{started.pid}/root")
        assert not (inner / "c.toml").exists()
        assert [file.document for file in files_of(place)] == [{"version": 2}]
        assert all(one.pid != started.pid for one in places())
        started.stdin.close()
