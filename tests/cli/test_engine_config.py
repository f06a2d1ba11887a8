"""Engines' configurations, as people have them."""

from __future__ import annotations

import tomllib

import pytest

from nri_netdev.cli.engine_config import ENABLE_NRI, ENABLE_VALIDATOR, EngineConfig, EngineName, merge, read

CONTAINERD_2 = """
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = ''
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata.options]
BinaryName = '/opt/crun'
"""
CONTAINERD_1 = """
version = 2
[plugins.'io.containerd.nri.v1.nri']
disable = false
disable_connections = true
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.old.options]
BinaryName = '/bin/runc'
"""

CASES = {
    "containerd 2, nothing said": ("version = 3", EngineConfig(
        kind=EngineName.CONTAINERD, nri_is_enabled=True, accepts_connections=True, validator_is_enabled=False,
        handlers={"runc": ""},
    )),
    "containerd 1, nothing said": ("version = 2", EngineConfig(
        kind=EngineName.CONTAINERD, nri_is_enabled=False, accepts_connections=True, validator_is_enabled=False,
        handlers={"runc": ""},
    )),
    "containerd 2, handlers": (CONTAINERD_2, EngineConfig(
        kind=EngineName.CONTAINERD, nri_is_enabled=True, accepts_connections=True, validator_is_enabled=False,
        handlers={"runc": "", "kata": "/opt/crun"},
    )),
    "containerd 1, turned on": (
        CONTAINERD_1,
        EngineConfig(
            kind=EngineName.CONTAINERD, nri_is_enabled=True, accepts_connections=False, validator_is_enabled=False,
            handlers={"old": "/bin/runc"},
        ),
    ),
    "CRI-O, nothing said": ("[crio]", EngineConfig(
        kind=EngineName.CRIO, nri_is_enabled=True, accepts_connections=True, validator_is_enabled=False,
        handlers={"crun": ""},
    )),
    "CRI-O, turned off": (
        "[crio.nri]\nenable_nri = false\n[crio.runtime.runtimes.crun]\nruntime_path = '/usr/bin/crun'",
        EngineConfig(
            kind=EngineName.CRIO, nri_is_enabled=False, accepts_connections=True, validator_is_enabled=False,
            handlers={"crun": "/usr/bin/crun"},
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_read(text: str, expected: EngineConfig) -> None:
    """NRI on or off, with or without its socket, and each handler's program."""
    assert read(tomllib.loads(text)) == expected


@pytest.mark.parametrize("text", ["", "a = 1", "[plugin]"])
def test_what_is_neither_engines(text: str) -> None:
    """Is not guessed at."""
    assert read(tomllib.loads(text)) is None


@pytest.mark.parametrize("text", ["version = 3\nplugins = 7", "[crio]\nnri = 'x'\nruntime = []"])
def test_nonsense_is_as_good_as_nothing(text: str) -> None:
    """Values of the wrong type do no harm."""
    assert read(tomllib.loads(text)) is not None


@pytest.mark.parametrize("kind", EngineName)
def test_the_lines_that_are_advised_do_it(kind: EngineName) -> None:
    """Put into a configuration in which all is off they turn on what they promise."""
    off = {
        EngineName.CONTAINERD: "version = 2\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\ndisable_connections = true",  # noqa: E501
        EngineName.CRIO: "[crio.nri]\nenable_nri = false\nnri_disable_connections = true",
    }[kind]
    document = merge(tomllib.loads(off), tomllib.loads(ENABLE_NRI[kind]))
    document = merge(document, tomllib.loads(ENABLE_VALIDATOR[kind]))
    result = read(document)
    assert result is not None
    assert (result.nri_is_enabled, result.accepts_connections, result.validator_is_enabled) == (True, True, True)
