"""The package keeps its shape: bounded modules, classes and functions, unique class names, mirrored tests."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import nri_netdev

PACKAGE = Path(nri_netdev.__file__).parent
TESTS = Path(__file__).parent
MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if "proto" not in path.relative_to(PACKAGE).parts
}

MODULE_LINES = 450
FUNCTION_LINES = 40
PARAMETERS = 6
PUBLIC_METHODS = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Its lines, without its docstring."""
    end = function.end_lineno or function.lineno
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return end - function.lineno + 1 - docstring


def parameters(function: Function) -> int:
    """How many it has, `self` and `cls` left out."""
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([one for one in named if one.arg not in {"self", "cls"}])


def is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


@pytest.mark.parametrize("module", MODULES)
def test_limits(module: str) -> None:
    """No module, function or class is larger than a reader can hold; ports aside."""
    lines = len((PACKAGE / module).read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES
    for function in functions(MODULES[module]):
        assert length(function) <= FUNCTION_LINES, function.name
        assert parameters(function) <= PARAMETERS, function.name
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ClassDef) and not is_protocol(node):
            public = [one.name for one in node.body if isinstance(one, Function) and not one.name.startswith("_")]
            assert len(public) <= PUBLIC_METHODS, node.name


def test_every_folder_has_a_contract_that_names_all_of_it() -> None:
    """A module without a room fails `make lint`."""
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    exhaustive = {name for one in contracts if one.get("exhaustive") for name in one["containers"]}
    folders = {"/".join(("nri_netdev", *Path(module).parent.parts)).replace("/", ".") for module in MODULES}
    assert folders == exhaustive


def test_a_class_name_means_one_thing() -> None:
    """Except for the ports of custody, which are named as what implements them."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not is_protocol(node):
                found[node.name].add(module)
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("module", [one for one in MODULES if not one.endswith(("__init__.py", "__main__.py"))])
def test_the_tests_mirror_the_package(module: str) -> None:
    """Each module that decides or does something has a test file of its name in its place."""
    path = TESTS / Path(module).parent / f"test_{Path(module).name}"
    has_code = any(length(function) > 3 for function in functions(MODULES[module]))
    assert path.exists() or not has_code or module in ELSEWHERE


ELSEWHERE = {
    "cli/run.py": "tests/e2e: it is the daemon",
}
"""Modules that are tested by others' tests, and where."""
