"""`nexxus plugins new` writes packages that work and pass their conformance kit at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from server import clean_environment, run_nexxus

from nexxus.scaffold import KINDS


@pytest.fixture(scope="module", params=KINDS)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a package that was just written, for each kind."""
    folder = tmp_path_factory.mktemp("new")
    result = run_nexxus("plugins", "new", "acme-demo", "--kind", request.param, cwd=folder)
    assert result.returncode == 0, result.stderr
    package = folder / "nexxus-acme-demo"
    assert f"cd {package.name} && pip install" in result.stdout
    return package


def run(*command: str, cwd: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=clean_environment(PYTHONDONTWRITEBYTECODE="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-4000:]}{result.stderr[-2000:]}"


def test_it_passes_its_kit(package: Path) -> None:
    run("pytest", "-q", "-p", "no:cacheprovider", cwd=package)


def test_it_is_formatted_linted_and_typed(package: Path) -> None:
    run("ruff", "format", "--isolated", "--line-length", "100", "--check", ".", cwd=package)
    rules = "E,F,I,UP,B,SIM"
    run("ruff", "check", "--isolated", "--line-length", "100", "--select", rules, ".", cwd=package)
    run("mypy", "--strict", "--cache-dir", os.devnull, "nexxus_acme_demo", cwd=package)


def test_installed_it_is_in_the_list(package: Path) -> None:
    metadata = package / "nexxus_acme_demo-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nexxus-acme-demo\nVersion: 0.1.0\n"
    )
    (metadata / "entry_points.txt").write_text("[nexxus]\nacme-demo = nexxus_acme_demo\n")
    result = run_nexxus("plugins", cwd=package, PYTHONPATH=str(package))
    assert result.returncode == 0, result.stderr
    offers = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(" acme-demo nexxus-acme-demo 0.1.0 " in offer for offer in offers), offers


def test_a_name_that_cannot_be_one_exits_with_2(tmp_path: Path) -> None:
    result = run_nexxus("plugins", "new", "Not A Name", "--kind", "worker", cwd=tmp_path)
    assert result.returncode == 2
    assert "cannot be the name of a plugin" in result.stderr
    assert list(tmp_path.iterdir()) == []
