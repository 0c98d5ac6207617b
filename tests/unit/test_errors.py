"""Errors: one complete tree."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nexxus
from nexxus import errors
from nexxus.errors import BY_NAME, NexxusError, ServerError, WireError, from_wire

ROOT = Path(nexxus.__file__).parent


def below(kind: type[NexxusError]) -> Iterator[type[NexxusError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def tree() -> list[type[NexxusError]]:
    """The errors visible to other packages."""
    return [kind for kind in below(NexxusError) if kind.__module__ == errors.__name__]


def test_the_documented_tree_is_complete() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in tree()}


def test_every_error_is_raised_or_caught_somewhere() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py") if path.name != "errors.py"
    )
    assert [kind for kind in tree() if not re.search(rf"\b{kind.__name__}\b", text)] == []


def test_a_packages_own_error_subclass_is_private() -> None:
    for module in pkgutil.walk_packages(nexxus.__path__, "nexxus."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    inner = {
        kind.__name__: kind.__module__.rpartition(".")[0]
        for kind in below(NexxusError)
        if kind.__module__ != errors.__name__ and kind.__module__.startswith("nexxus.")
    }
    for path in ROOT.rglob("*.py"):
        package = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts[:-1])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if alias.name in inner:
                    assert package.startswith(inner[alias.name]), (path, alias.name)


def test_an_error_subclass_is_sent_as_its_base() -> None:
    for kind in below(WireError):
        assert issubclass(kind, BY_NAME[kind.name])


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_received_error_is_raised_as_its_class(name: str) -> None:
    error = from_wire(name, "why", {"field": "f"})
    assert (error.name, error.message) == (name, "why")


def test_an_unknown_received_error_is_a_server_error() -> None:
    assert type(from_wire("FutureException", "why")) is ServerError
