"""The plugins among the examples pass the conformance kits of their kinds, as their readmes say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugin_packages import PLUGINS, run_module


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_its_own_tests_pass(package: Path) -> None:
    run_module("pytest", "-q", "-p", "no:cacheprovider", cwd=package)


def test_they_are_typed() -> None:
    modules = [str(path) for folder in PLUGINS for path in folder.glob("nexxus_*")]
    run_module("mypy", "--strict", "--cache-dir", os.devnull, *modules, cwd=PLUGINS[0])
