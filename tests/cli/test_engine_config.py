"""Engines' configurations, as people have them."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.cli.engine_config import (
    DEFAULT_SOCKET,
    ENABLE_NRI,
    ENABLE_VALIDATOR,
    EngineConfig,
    EngineName,
    EngineRelease,
    kind_of,
    read,
    release_of,
    turns_nri_off,
)

CONTAINERD, CRIO = EngineName
NRI = "[plugins.'io.containerd.nri.v1.nri']\n"
ON, OFF = f"{NRI}disable = false", f"{NRI}disable = true"
V2 = "version = 2\n"
DISABLED = "disabled_plugins = ['io.containerd.nri.v1.nri']\n"
CRIO_ON, CRIO_OFF = "[crio.nri]\nenable_nri = true", "[crio.nri]\nenable_nri = false"
OLD_RUNTIMES = "plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes"
RUNTIMES = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes"


def parsed(kind: EngineName, *texts: str, release: EngineRelease | None = None) -> EngineConfig:
    return read(kind, [tomllib.loads(text) for text in texts], release=release)


IS_ON = {
    # what, engine, its release, files in the order of reading: whether NRI is on
    "version 3 is containerd 2": (CONTAINERD, None, ["version = 3"], True),
    "version 4 too": (CONTAINERD, None, ["version = 4"], True),
    "version 2 may be either": (CONTAINERD, None, ["version = 2"], None),
    "version 2 in containerd 2": (CONTAINERD, (2, 3), ["version = 2"], True),
    "version 2 in containerd 1.7": (CONTAINERD, (1, 7), ["version = 2"], False),
    "version 2 says it": (CONTAINERD, None, [V2 + ON], True),
    "no file": (CONTAINERD, None, [], None),
    "no file in containerd 2": (CONTAINERD, (2, 0), [], True),
    "no version, full name, containerd 2": (CONTAINERD, (2, 0), [OFF], False),
    "no version, full name, containerd 1": (CONTAINERD, (1, 7), [ON], False),
    "no version, short name, containerd 1": (CONTAINERD, (1, 7), ["[plugins.nri]\ndisable = false"], True),
    "the later file wins": (CONTAINERD, (2, 0), [V2 + OFF, ON], True),
    "and the latest": (CONTAINERD, (2, 0), ["version = 2", ON, OFF], False),
    "containerd 2 merges a plugin's table":
        (CONTAINERD, (2, 0), [V2 + OFF, NRI + "socket_path = '/x'"], False),
    "containerd 1 replaces it":
        (CONTAINERD, (1, 7), [V2 + ON, NRI + "socket_path = '/x'"], False),
    "which matters": (CONTAINERD, None, [V2 + ON, NRI + "socket_path = '/x'"], None),
    "the plugin is listed as disabled":
        (CONTAINERD, None, [f"version = 3\n{DISABLED}{ON}"], False),
    "lists are joined": (CONTAINERD, (2, 0), [DISABLED, "disabled_plugins = []"], False),
    "CRI-O": (CRIO, None, ["[crio]"], None),
    "CRI-O, no file": (CRIO, (1, 30), [], True),
    "CRI-O 1.29": (CRIO, (1, 29), ["[crio]"], False),
    "CRI-O 1.36": (CRIO, (1, 36), ["[crio]"], True),
    "CRI-O, the later file wins": (CRIO, None, [CRIO_OFF, CRIO_ON], True),
    "CRI-O merges the table": (CRIO, None, [CRIO_OFF, "[crio.nri]\nnri_listen = '/x'"], False),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "release", "texts", "expected"), IS_ON.values(), ids=IS_ON.keys())
def test_whether_nri_is_on(
    kind: EngineName, release: EngineRelease | None, texts: list[str], expected: bool | None
) -> None:
    """What the last file says, and else what the engine's version has by default: None if that is not known."""
    assert parsed(kind, *texts, release=release).nri_is_enabled is expected


HANDLERS = {
    "containerd 2 has runc": (CONTAINERD, (2, 0), ["version = 3"], {"runc": "runc"}),
    "beside others": (
        CONTAINERD, (2, 0), [f"version = 3\n[{RUNTIMES}.crun.options]\nBinaryName = '/opt/crun'"],
        {"runc": "runc", "crun": "/opt/crun"},
    ),
    "version 2 is migrated": (
        CONTAINERD, (2, 0), [f"version = 2\n[{OLD_RUNTIMES}.crun.options]\nBinaryName = '/opt/crun'"],
        {"runc": "runc", "crun": "/opt/crun"},
    ),
    "no version too": (
        CONTAINERD, (2, 0), ["[plugins.cri.containerd.runtimes.crun.options]\nBinaryName = '/opt/crun'"],
        {"runc": "runc", "crun": "/opt/crun"},
    ),
    "version 3 is migrated since containerd 2.3": (
        CONTAINERD, (2, 3), [f"version = 3\n[{OLD_RUNTIMES}.crun.options]\nBinaryName = '/opt/crun'"],
        {"runc": "runc", "crun": "/opt/crun"},
    ),
    "before that, its old table is not read": (
        CONTAINERD, (2, 2), [f"version = 3\n[{OLD_RUNTIMES}.crun.options]\nBinaryName = '/opt/crun'"], {"runc": "runc"},
    ),
    "containerd 1 does not add runc": (
        CONTAINERD, (1, 7), [f"version = 2\n[{OLD_RUNTIMES}.old.options]\nBinaryName = '/bin/runc'"],
        {"old": "/bin/runc"},
    ),
    "another shim is its own runtime": (
        CONTAINERD, (2, 0), [f"version = 3\n[{RUNTIMES}.kata]\nruntime_type = 'io.containerd.kata.v2'"],
        {"runc": "runc", "kata": "containerd-shim-kata-v2"},
    ),
    "a shim by its path": (
        CONTAINERD, (2, 0), [f"version = 3\n[{RUNTIMES}.wasm]\nruntime_type = '/opt/shim'"],
        {"runc": "runc", "wasm": "/opt/shim"},
    ),
    "CRI-O has crun": (CRIO, None, ["[crio]"], {"crun": "crun"}),
    "CRI-O looks for the handler's name": (
        CRIO, None, ["[crio.runtime.runtimes.runsc]"], {"crun": "crun", "runsc": "runsc"},
    ),
    "CRI-O, a later file's handler replaces it": (
        CRIO, None,
        ["[crio.runtime.runtimes.a]\nruntime_path = '/a'\n[crio.runtime.runtimes.b]\nruntime_path = '/b'",
         "[crio.runtime.runtimes.a]\nruntime_type = 'oci'"],
        {"crun": "crun", "a": "a", "b": "/b"},
    ),
    "CRI-O, a handler inherits": (
        CRIO, None,
        [("[crio.runtime]\ndefault_runtime = 'a'\n[crio.runtime.runtimes.a]\nruntime_path = '/a'\n"
         "[crio.runtime.runtimes.b]\ninherit_default_runtime = true")],
        {"crun": "crun", "a": "/a", "b": "/a"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "release", "texts", "expected"), HANDLERS.values(), ids=HANDLERS.keys())
def test_runtime_handlers(
    kind: EngineName, release: EngineRelease | None, texts: list[str], expected: dict[str, str]
) -> None:
    """Each with the program that is run."""
    assert parsed(kind, *texts, release=release).handlers == expected


def test_everything_at_once() -> None:
    """What is read beside that."""
    text = f"version = 3\n{NRI}disable_connections = true\nsocket_path = '/run/x.sock'\ndefault_validator.enable = true"
    expected = EngineConfig(
        kind=CONTAINERD,
        nri_is_enabled=True,
        accepts_connections=False,
        validator_is_enabled=True,
        socket=Path("/run/x.sock"),
        handlers={"runc": "runc"},
    )
    assert parsed(CONTAINERD, text) == expected
    text = "[crio.nri]\nenable_nri = true\nnri_disable_connections = true\nnri_listen = '/run/x.sock'\n"
    text += "default_validator.nri_enable_default_validator = true"
    assert parsed(CRIO, text) == replace(expected, kind=CRIO, handlers={"crun": "crun"})
    assert parsed(CRIO).socket == parsed(CONTAINERD).socket == DEFAULT_SOCKET


@pytest.mark.parametrize("text", ["disabled_plugins = ['cri']", "disabled_plugins = ['io.containerd.grpc.v1.cri']"])
def test_a_containerd_of_dockers(text: str) -> None:
    """Serves no pods."""
    assert parsed(CONTAINERD, "version = 2\n").serves_pods
    assert not parsed(CONTAINERD, text).serves_pods


@pytest.mark.parametrize("text", ["", "a = 1", "[plugin]"])
def test_what_is_neither_engines(text: str) -> None:
    """Is not guessed at."""
    assert kind_of(tomllib.loads(text)) is None


@pytest.mark.parametrize(
    "text",
    ["version = 3\nplugins = 7\ndisabled_plugins = 3", "version = 'x'", "[crio]\nnri = 'x'\nruntime = []", "crio = 1"],
)
def test_nonsense_is_as_good_as_nothing(text: str) -> None:
    """Values of the wrong type do no harm."""
    kind = kind_of(tomllib.loads(text))
    assert kind is not None
    assert parsed(kind, text, release=(2, 0)).nri_is_enabled


@pytest.mark.parametrize("kind", EngineName)
def test_the_lines_that_are_advised_do_it(kind: EngineName) -> None:
    """Put over a configuration in which all is off they turn on what they promise."""
    off = {
        CONTAINERD: "version = 2\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\ndisable_connections = true",
        CRIO: "[crio.nri]\nenable_nri = false\nnri_disable_connections = true",
    }[kind]
    assert turns_nri_off(kind, tomllib.loads(off))
    result = parsed(kind, off, ENABLE_NRI[kind])
    assert result.is_open
    assert not turns_nri_off(kind, tomllib.loads(ENABLE_NRI[kind]))
    assert parsed(kind, off, ENABLE_VALIDATOR[kind]).validator_is_enabled


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v2.3.4", (2, 3)), ("1.36.3", (1, 36)), ("2.2.1-0ubuntu1", (2, 2)), ("v2.1.5-k3s1", (2, 1)), ("(devel)", None)],
)
def test_the_release_of_an_engine(version: str, expected: EngineRelease | None) -> None:
    """As engines spell their version."""
    assert release_of(version) == expected
