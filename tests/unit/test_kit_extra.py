"""The extra ``nexxus[kit]`` installs exactly what a plugin author's tests need."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {"pytest", "hypothesis"}
BY_PYTEST = {"pytest-asyncio"}
"""A plugin that pytest itself loads; nothing imports it."""


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"nexxus"}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_-]", each)[0] for each in requirements}


def test_the_kits_import_only_what_the_extra_or_nexxus_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = set().union(*map(imported, (ROOT / "nexxus" / "testing").rglob("*.py")))
    kit = names_of(project["optional-dependencies"]["kit"])
    assert kit == OPTIONAL | BY_PYTEST
    assert found - OPTIONAL <= names_of(project["dependencies"])
    assert found >= OPTIONAL
