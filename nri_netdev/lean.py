"""Imports that leave out what a daemon never uses.

asyncio loads OpenSSL where there is one (4 MiB), and the first line of prometheus-client a web server, a mail parser
and OpenSSL again (7 MiB, of which rendering needs 0.3), gRPC a second gRPC for asyncio (1 MiB), and protobuf itself a
second time in Python (1 MiB) where it is there in C. They work without: CPython may be built without `ssl`, and the
modules that are wanted do not use the rest of their package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Have modules that are not loaded yet be absent, for what is imported within a block.

    Args:
        names: of modules; afterwards they can be imported as ever.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is documented: it cannot be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def bare(package: str) -> Iterator[None]:
    """Import modules of a package within a block, and not what the package itself would import.

    Args:
        package: of the top level; where it is loaded already, or not to be found, nothing is different.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None:
        yield
        return
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]


@contextlib.contextmanager
def hollow(name: str) -> Iterator[None]:
    """Have a module be there and empty, for a package that imports it within a block and does not use it.

    Args:
        name: of the module; where it is loaded already, nothing is different.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


@contextlib.contextmanager
def protobuf_once() -> Iterator[None]:
    """Have messages that are imported within a block not load protobuf in Python, where it is there in C."""
    from google.protobuf.internal import api_implementation  # noqa: PLC0415 - only who wants messages

    with contextlib.ExitStack() as stack:
        if api_implementation.Type() != "python":
            stack.enter_context(hollow("google.protobuf.internal.python_message"))
        yield
