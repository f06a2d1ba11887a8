"""What the doctor says of engines' configurations: a row for each layout; real engines are in tests/e2e."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.cli.check import Check, CheckVerdict
from nri_netdev.cli.engine_checks import LiveEngine, engine_config_checks
from tests.cli.test_engine_files import write
from tests.cli.test_engine_places import process

OK, NOTE, CHANGE = CheckVerdict
SOCKET = Path("/var/run/nri/nri.sock")
LIVE_2 = LiveEngine(name="containerd", version="v2.3.4")
LIVE_1 = LiveEngine(name="containerd", version="v1.7.33")
LIVE_CRIO = LiveEngine(name="cri-o", version="1.36.3")
NRI = "[plugins.'io.containerd.nri.v1.nri']\n"
ON, OFF = f"{NRI}disable = false\n", f"{NRI}disable = true\n"
CRIO_ON, CRIO_OFF = "[crio.nri]\nenable_nri = true\n", "[crio.nri]\nenable_nri = false\n"
IS_OFF = "containerd with NRI turned off, or without its socket"
MAIN = "etc/containerd/config.toml"
K3S = "var/lib/rancher/k3s/agent/etc/containerd"
RKE2 = "var/lib/rancher/rke2/agent/etc/containerd"
MICROK8S = "var/snap/microk8s/current/args"
TEMPLATE = '{{ template "base" . }}\n[plugins]\n'


def said(live: LiveEngine | None, **options: Path) -> dict[str, list[Check]]:
    """What is said, by topic."""
    found: dict[str, list[Check]] = {}
    for check in engine_config_checks(live, **{"socket": SOCKET, **options}):
        found.setdefault(check.topic, []).append(check)
    return found


LAYOUTS = {
    # files, the engine that answers: verdict, what is found, a line of the advice
    "nothing": ({}, None, NOTE, "none can be seen from here", "run nri-netdev doctor on the node itself"),
    "nothing, and it answers": ({}, LIVE_2, NOTE, "none can be seen from here", "--engine-config FILE"),
    "containerd, on": ({MAIN: f"version = 2\n{ON}"}, LIVE_2, OK, f"/{MAIN}: containerd with NRI", ""),
    "containerd 2, version 2": ({MAIN: "version = 2"}, LIVE_2, OK, f"/{MAIN}: containerd with NRI", ""),
    "version 2, of whatever": (
        {MAIN: "version = 2"}, None, NOTE,
        f"/{MAIN} does not say whether NRI is on; it is by default since containerd 2.0", f"in /{MAIN}",
    ),
    "version 3": ({MAIN: "version = 3"}, None, NOTE, f"/{MAIN}: containerd with NRI, but it does not answer", "start"),
    "off": (
        {MAIN: f"version = 3\n{OFF}"}, None, CHANGE,
        f"/{MAIN}: {IS_OFF}", f"in /{MAIN}",
    ),
    "off, and it answers": (
        {MAIN: f"version = 3\n{OFF}"}, LIVE_2, NOTE,
        f"/{MAIN}: {IS_OFF}; that is not in force, since containerd v2.3.4 answers",
        "it is another engine's, or has changed since containerd started",
    ),
    "not said to containerd 1, and it answers": (
        {MAIN: "version = 2"}, LIVE_1, NOTE,
        f"/{MAIN}: {IS_OFF}; that is not in force, since containerd v1.7.33 answers", f"in /{MAIN}",
    ),
    "without a socket": (
        {MAIN: f"version = 3\n{NRI}disable_connections = true"}, None, CHANGE,
        f"/{MAIN}: {IS_OFF}", "  disable_connections = false",
    ),
    "another socket": (
        {MAIN: f"version = 3\n{NRI}socket_path = '/run/x.sock'"}, None, CHANGE,
        f"/{MAIN}: containerd with NRI at /run/x.sock, and nri-netdev looks at {SOCKET}",
        "run nri-netdev with --socket /run/x.sock",
    ),
    "an import turns it off": (
        {MAIN: f"version = 3\nimports = ['conf.d/*.toml']\n{ON}", "etc/containerd/conf.d/x.toml": OFF}, None, CHANGE,
        f"/etc/containerd/conf.d/x.toml: {IS_OFF}",
        "in /etc/containerd/conf.d/x.toml",
    ),
    "an import's import turns it on": (
        {MAIN: f"version = 2\nimports = ['a/x.toml']\n{OFF}", "etc/containerd/a/x.toml": "imports = ['../y.toml']",
         "etc/containerd/y.toml": ON},
        LIVE_2, OK, f"/{MAIN}: containerd with NRI", "",
    ),
    "an import is missing": (
        {MAIN: "imports = ['x.toml']"}, None, NOTE, "cannot read /etc/containerd/x.toml: No such file or directory", "",
    ),
    "the plugin is disabled": (
        {MAIN: "version = 3\ndisabled_plugins = ['io.containerd.nri.v1.nri']"}, None, CHANGE,
        f"/{MAIN}: {IS_OFF}",
        f"remove io.containerd.nri.v1.nri from disabled_plugins in /{MAIN} and restart containerd",
    ),
    "containerd of Docker's": (
        {MAIN: "disabled_plugins = ['cri']"}, None, CHANGE,
        f"/{MAIN}: containerd with CRI turned off, by disabled_plugins",
        f"remove cri from disabled_plugins in /{MAIN} and restart containerd, if that is to run pods",
    ),
    "k3s": (
        {f"{K3S}/config.toml": f"version = 3\n{OFF}", f"{K3S}/config-v3.toml.tmpl": TEMPLATE}, None, CHANGE,
        f"/{K3S}/config.toml: {IS_OFF}",
        f'in /{K3S}/config-v3.toml.tmpl, which begins with {{{{ template "base" . }}}}',
    ),
    "k3s beside containerd of Docker's": (
        {MAIN: "disabled_plugins = ['cri']", f"{K3S}/config.toml": "version = 3"}, LIVE_2, OK,
        f"/{K3S}/config.toml: containerd with NRI", "",
    ),
    "k3s with a drop-in": (
        {f"{K3S}/config.toml": f"version = 3\nimports = ['/{K3S}/config-v3.toml.d/*.toml']\n{OFF}",
         f"{K3S}/config-v3.toml.d/nri.toml": ON},
        LIVE_2, OK, f"/{K3S}/config.toml: containerd with NRI", "",
    ),
    "a template alone": ({f"{K3S}/config.toml.tmpl": TEMPLATE}, None, NOTE, "none can be seen from here", ""),
    "rke2": (
        {f"{RKE2}/config.toml": f"version = 2\n{OFF}"}, None, CHANGE,
        f"/{RKE2}/config.toml: {IS_OFF}", "and restart rke2",
    ),
    "microk8s": (
        {f"{MICROK8S}/containerd.toml": "version = 2", f"{MICROK8S}/containerd-template.toml": "root = ${SNAP}"}, None,
        NOTE, f"/{MICROK8S}/containerd.toml does not say whether NRI is on; it is by default since containerd 2.0",
        f"in /{MICROK8S}/containerd-template.toml",
    ),
    "k0s": (
        {"etc/k0s/containerd.toml": "version = 3\nimports = ['/etc/k0s/containerd.d/*.toml']",
         "etc/k0s/containerd.d/nri.toml": OFF},
        None, CHANGE, f"/etc/k0s/containerd.d/nri.toml: {IS_OFF}",
        "in /etc/k0s/containerd.d/nri.toml",
    ),
    "CRI-O": ({"etc/crio/crio.conf": "[crio]"}, LIVE_CRIO, OK, "/etc/crio/crio.conf: CRI-O with NRI", ""),
    "CRI-O, of whatever version": (
        {"etc/crio/crio.conf": "[crio]"}, None, NOTE,
        "/etc/crio/crio.conf does not say whether NRI is on; it is by default since CRI-O 1.30",
        "in a new file /etc/crio/crio.conf.d/99-nri.conf",
    ),
    "CRI-O, a drop-in turns it off": (
        {"etc/crio/crio.conf": CRIO_ON, "etc/crio/crio.conf.d/10-off": CRIO_OFF}, None, CHANGE,
        "/etc/crio/crio.conf.d/10-off: CRI-O with NRI turned off, or without its socket",
        "in /etc/crio/crio.conf.d/10-off",
    ),
    "CRI-O, a later one turns it on": (
        {"etc/crio/crio.conf.d/10-off": CRIO_OFF, "etc/crio/crio.conf.d/20/on": CRIO_ON}, LIVE_CRIO, OK,
        "/etc/crio/crio.conf: CRI-O with NRI", "",
    ),
    "several": (
        {MAIN: "version = 3", "etc/crio/crio.conf": CRIO_OFF}, None, NOTE,
        f"several can be seen: /{MAIN}, /etc/crio/crio.conf", "--engine-config FILE",
    ),
    "only another engine's": ({"etc/crio/crio.conf": CRIO_OFF}, LIVE_2, NOTE, "none can be seen from here", ""),
    "several, and one answers": (
        {MAIN: OFF, "etc/crio/crio.conf": CRIO_ON}, LIVE_CRIO, OK, "/etc/crio/crio.conf: CRI-O with NRI", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout(tmp_path: Path, layout: tuple[dict[str, str], LiveEngine | None, CheckVerdict, str, str]) -> None:
    """Whether NRI is on, and if not, which file says so and where to write the lines."""
    texts, live, verdict, found, advice = layout
    write(tmp_path, texts)
    (check,) = said(live, root=tmp_path)["engine config"]
    assert (check.verdict, check.found) == (verdict, found)
    assert advice in check.advice


def test_a_running_engine(tmp_path: Path) -> None:
    """Its own file is read; one that is newer than the engine is why NRI does not answer."""
    path = tmp_path / "my.toml"
    write(tmp_path, {"my.toml": f"version = 3\n{ON}"})
    with process(tmp_path, "containerd", "--config", "my.toml") as pid:
        live = replace(LIVE_2, pid=pid)
        (check,) = said(live)["engine config"]
        assert (check.verdict, check.found) == (OK, f"{path}: containerd with NRI")
        write(tmp_path, {"my.toml": f"version = 3\n{OFF}"})
        (check,) = said(live)["engine config"]
        assert check.verdict is NOTE
        assert check.found.endswith("; that is not in force, since containerd v2.3.4 answers")


def test_options_turn_it_off(tmp_path: Path) -> None:
    """Then they are named, and no lines help."""
    with process(tmp_path, "crio", "-c", "none", "-d", "none", "--enable-nri=false") as pid:
        (check,) = said(replace(LIVE_CRIO, pid=pid))["engine config"]
    assert check.found.startswith(f"the command line of process {pid}: CRI-O with NRI turned off")
    options = "remove --enable-nri and --nri-disable-connections from the command line"
    assert f"{options} of process {pid}, and restart CRI-O" in check.advice


def test_a_file_that_is_newer_than_the_engine(tmp_path: Path) -> None:
    """Is why NRI does not answer, though it is on."""
    path = tmp_path / "my.toml"
    write(tmp_path, {"my.toml": f"version = 3\n{ON}"})
    with process(tmp_path, "containerd", "--config", "my.toml"):
        (check,) = said(None, chosen=path)["engine config"]
        assert (check.verdict, check.found) == (NOTE, f"{path}: containerd with NRI, but it does not answer")
        later = time.time() + 60
        os.utime(path, (later, later))
        (check,) = said(None, chosen=path)["engine config"]
    assert check.found == f"{path}: containerd with NRI, but {path} changed after it had started"
    assert (check.verdict, check.advice) == (CHANGE, "restart containerd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("= nonsense", "cannot read "), ("a = 1", " is neither containerd's nor CRI-O's"), (None, "No such file")],
)
def test_no_engines_configuration(tmp_path: Path, text: str | None, expected: str) -> None:
    """Is a note, since another one may be in force."""
    if text is not None:
        write(tmp_path, {"engine.toml": text})
    (check,) = said(None, chosen=tmp_path / "engine.toml")["engine config"]
    assert check.verdict is NOTE
    assert expected in check.found


def test_runtimes(tmp_path: Path) -> None:
    """What each can do, and whether pods are refused while no daemon runs."""
    runtimes = {"able": '{"linux": {"netDevices": {"enabled": true}}}', "old": "{}", "mute": "no JSON"}
    lines = []
    for name, features in {**runtimes, "absent": None}.items():
        program = tmp_path / name
        lines += [f"[crio.runtime.runtimes.{name}]", f"runtime_path = '{program}'"]
        if features is not None:
            program.write_text(f"#!/bin/sh\necho '{features}'\n")
            program.chmod(0o755)
    write(tmp_path, {"crio.conf": "\n".join(lines)})
    found = said(LIVE_CRIO, chosen=tmp_path / "crio.conf")
    assert found["fail-open"][0].verdict is NOTE
    told = {name: (check.found, check.verdict) for name in (*runtimes, "absent") for check in found[f"runtime {name}"]}
    assert told == {
        "able": (f"{tmp_path / 'able'} moves network devices", OK),
        "old": (f"{tmp_path / 'old'} does not say that it moves network devices", NOTE),
        "mute": (f"{tmp_path / 'mute'} cannot tell its features", NOTE),
        "absent": (f"{tmp_path / 'absent'} is not to be found from here", NOTE),
    }
    validator = "[crio.nri.default_validator]\nnri_enable_default_validator = true\n"
    write(tmp_path, {"crio.conf.d/90": validator})
    assert said(LIVE_CRIO, chosen=tmp_path / "crio.conf")["fail-open"][0].verdict is OK


def test_a_runtime_on_the_path_of_the_engine(tmp_path: Path) -> None:
    """Is looked for there, as the engine does."""
    write(tmp_path, {"c.toml": "version = 3", "bin/runc": "#!/bin/sh\n"})
    (tmp_path / "bin/runc").chmod(0o755)
    with process(tmp_path, "containerd", "-c", "c.toml", PATH=str(tmp_path / "bin")) as pid:
        (check,) = said(replace(LIVE_2, pid=pid))["runtime runc"]
    assert check.found.startswith(str(tmp_path / "bin/runc"))
