"""`nexxus plugins new` writes packages that work and pass their conformance kit at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugin_packages import run_module, run_tests_of
from server import run_nexxus

from nexxus.scaffold import KINDS


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of packages that were just written, one of each kind."""
    folder = tmp_path_factory.mktemp("new")
    packages = {}
    for kind in KINDS:
        name = f"acme-{kind}"
        result = run_nexxus("plugins", "new", name, "--kind", kind, cwd=folder)
        assert result.returncode == 0, result.stderr
        packages[kind] = folder / f"nexxus-{name}"
        assert f"cd {packages[kind].name} && pip install" in result.stdout
    return packages


def test_each_passes_its_kit(packages: dict[str, Path]) -> None:
    run_tests_of(*packages.values())


def test_they_are_formatted_and_typed(packages: dict[str, Path]) -> None:
    folder = packages["worker"].parent
    options = ("--isolated", "--no-cache")
    run_module(
        "ruff", "check", *options, "--select", "E,F,UP,B,SIM", "--ignore", "E501", ".", cwd=folder
    )
    modules = [str(path) for path in folder.glob("nexxus-*/nexxus_*")]
    run_module("mypy", "--strict", "--cache-dir", os.devnull, *modules, cwd=folder)


def test_installed_it_is_in_the_list(packages: dict[str, Path]) -> None:
    package = packages["worker"]
    metadata = package / "nexxus_acme_worker-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nexxus-acme-worker\nVersion: 0.1.0\n"
    )
    (metadata / "entry_points.txt").write_text("[nexxus]\nacme-worker = nexxus_acme_worker\n")
    result = run_nexxus("plugins", cwd=package, PYTHONPATH=str(package))
    assert result.returncode == 0, result.stderr
    offers = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(" acme-worker nexxus-acme-worker 0.1.0 " in offer for offer in offers), offers


def test_a_name_that_cannot_be_one_exits_with_2(tmp_path: Path) -> None:
    result = run_nexxus("plugins", "new", "Not A Name", "--kind", "worker", cwd=tmp_path)
    assert result.returncode == 2
    assert "cannot be the name of a plugin" in result.stderr
    assert list(tmp_path.iterdir()) == []
