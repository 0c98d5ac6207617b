"""The plugins among the examples: packages, installed as anybody's would be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from server import clean_environment

__all__ = ["PLUGINS", "installed", "run_module", "run_tests_of"]

PLUGINS: Final = sorted(
    file.parent for file in Path(__file__).resolve().parents[2].glob("examples/*/pyproject.toml")
)
"""The folders of the packages."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed them, and nothing else."""
    target = tmp_path_factory.mktemp("site-packages")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run_module("pip", "install", *options, "--target", str(target), *map(str, PLUGINS), cwd=target)
    return target


def run_tests_of(*packages: Path) -> None:
    """Run the packages' own tests, all in one process, because starting one takes seconds."""
    paths = [str(package / "tests") for package in packages]
    options = ["-q", "-p", "no:cacheprovider", "--import-mode", "importlib"]
    sources = os.pathsep.join(map(str, packages))
    run_module("pytest", *options, *paths, cwd=packages[0].parent, PYTHONPATH=sources)


def run_module(*command: str, cwd: Path, **environment: str) -> None:
    """Run ``python -m`` with the command; what it printed shows if it fails."""
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=clean_environment(PYTHONDONTWRITEBYTECODE="1", **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-4000:]}{result.stderr[-2000:]}"
