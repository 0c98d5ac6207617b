"""The plugins among the examples pass the conformance kits of their kinds, as their readmes say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugin_packages import PLUGINS, run_module


@pytest.mark.parametrize("package", [folder.name for folder in PLUGINS])
def test_its_own_tests_pass(package: str) -> None:
    run_module("pytest", "-q", "-p", "no:cacheprovider", cwd=_folder(package))


def test_they_are_typed() -> None:
    modules = [str(path) for folder in PLUGINS for path in folder.glob("nexxus_*")]
    run_module("mypy", "--strict", "--cache-dir", os.devnull, *modules, cwd=PLUGINS[0])


def _folder(name: str) -> Path:
    return next(folder for folder in PLUGINS if folder.name == name)
