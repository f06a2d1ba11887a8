"""Fixtures of the tests against upstream's engine side: build it, start it, or say loudly why not."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nri_netdev.wire.methods import EVENTS_BEFORE_0_10
from nri_netdev.wire.session import PluginSession, Synchronized
from tests.e2e.toolbox import MissingError
from tests.wire.recording import Recording
from tests.wire.upstream.engine import RELEASES, Engine, build
from tests.wire.upstream.plugin import PluginOnSocket

StartEngine = Callable[..., Engine]
Connect = Callable[..., PluginOnSocket]

ENGINE_VERSIONS = {"0.11": "v2.2.7", "0.12": "v2.3.4"}
"""A release of containerd that has each version of NRI."""


@functools.cache
def _build(version: str) -> Path | str:
    try:
        return build(version)
    except MissingError as error:
        return str(error)


@pytest.fixture(params=RELEASES)
def version(request: pytest.FixtureRequest) -> str:
    """The version of NRI that the engine speaks."""
    return request.param


@pytest.fixture
def start_engine(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEngine]:
    """Start engines that end with the test; takes the program's flags as keywords."""
    program = _build(version)
    if isinstance(program, str):
        text = f"NOT TESTED against upstream's NRI {version}: {program}"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    with ExitStack() as stack:

        def start(directory: Path | None = None, **options: str) -> Engine:
            options = {"runtime_version": ENGINE_VERSIONS[version], "request_timeout": "30s"} | options
            directory = directory or tmp_path_factory.mktemp("nri")
            return stack.enter_context(Engine(program, directory, **options))

        yield start


@pytest.fixture
def engine(start_engine: StartEngine) -> Engine:
    """An engine as it comes, but more patient: a busy machine must not fail a test."""
    return start_engine()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect plugins, and unless told otherwise see them into the engine's order of calls."""
    with ExitStack() as stack:
        names: list[str] = []

        def connect_one(
            engine: Engine,
            name: str = "net",
            idx: str = "10",
            *,
            events: int = EVENTS_BEFORE_0_10,
            recording: Recording | None = None,
            until_serving: bool = True,
            fail_request: bool = False,
        ) -> PluginOnSocket:
            session = PluginSession(name, idx, events=events, fail_request=fail_request)
            plugin = stack.enter_context(PluginOnSocket(engine.socket_path, session, recording))
            if until_serving:
                plugin.reply(plugin.wait(Synchronized).request)
                names.append(name)
                text = f'plugin "{idx}-{name}" connected and synchronized'
                engine.wait_logged(text, times=names.count(name))
            return plugin

        yield connect_one
