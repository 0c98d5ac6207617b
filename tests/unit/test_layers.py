"""Who may import whom: the layers, and no cycle of imports.

Imports below ``if TYPE_CHECKING:`` do not count: they are gone at run time. Imports inside of
functions count as others do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nexxus

ROOT = Path(nexxus.__file__).parent

LEAVES = frozenset({"errors", "version", "observability"})
"""Packages that every module may import."""

CONTRACTS = frozenset({"domain", "interfaces", "toolkit"})
ROOMS = frozenset({"applications", "accounts", "objects", "cluster", "matching"})
ROLES = frozenset({"api", "writer", "transport_manager", "push", "workers", "gateway"})
PLUGGING = frozenset({"hookspecs", "plugins", "config"})

MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "version": frozenset(),
    "domain": frozenset({"errors"}),
    "observability": frozenset({"interfaces"}),
    "interfaces": frozenset({"domain"}),
    "toolkit": frozenset({"domain", "interfaces"}),
    "adapters": CONTRACTS | {"hookspecs"},
    "hookspecs": CONTRACTS,
    "plugins": frozenset({"hookspecs", ""}),
    "config": frozenset({"domain", "interfaces", "hookspecs", "plugins"}),
    **dict.fromkeys(ROOMS, CONTRACTS | ROOMS),
    **dict.fromkeys(ROLES, CONTRACTS | ROOMS),
    "server": CONTRACTS | ROOMS | ROLES | PLUGGING | {"demo"},
    "demo": frozenset(),
    "process": CONTRACTS | PLUGGING | {"server", "demo"},
    "cli": CONTRACTS | PLUGGING | {"process", "scaffold"},
    "scaffold": frozenset({"hookspecs", "plugins"}),
    "testing": CONTRACTS | ROOMS | ROLES | PLUGGING | {"adapters", "server", "process"},
    "": PLUGGING | {"server"},
    "__main__": frozenset({"cli"}),
}
"""What the modules of each package may import, in addition to the leaves and each other."""


def test_no_module_imports_a_layer_above_its_own() -> None:
    broken = [
        (module, imported)
        for module, imports in graph().items()
        for imported in imports
        if not may_import(package_of(module), package_of(imported))
    ]
    assert broken == []


def test_every_package_has_its_layer() -> None:
    assert {package_of(module) for module in graph()} == set(MAY_IMPORT)


def test_no_adapter_imports_another() -> None:
    broken = [
        (module, imported)
        for module, imports in graph().items()
        for imported in imports
        if package_of(module) == package_of(imported) == "adapters"
        and module != "nexxus.adapters.builtin"
        and adapter_of(module) != adapter_of(imported)
    ]
    assert broken == []


def test_there_is_no_cycle_of_imports() -> None:
    # A package's own module runs before its parts do: they import it without saying so.
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def may_import(package: str, other: str) -> bool:
    return package == other or other in LEAVES - {package} or other in MAY_IMPORT[package]


def package_of(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def adapter_of(module: str) -> str:
    return module.split(".")[2]


@cache
def graph() -> dict[str, frozenset[str]]:
    """Each Nexxus module with the Nexxus modules that it imports."""
    paths = {name_of(path): path for path in ROOT.rglob("*.py")}
    return {name: frozenset(imports_of(path, paths)) - {name} for name, path in paths.items()}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """The node and everything below it that is not under ``if TYPE_CHECKING:``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(node, ast.If)
            and child in node.body
            and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            continue
        yield from at_run_time(child)
