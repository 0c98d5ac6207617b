"""A new plugin's package has everything that a plugin needs, under its own name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nexxus.errors import ConfigurationError
from nexxus.hookspecs import INTERFACES
from nexxus.scaffold import KINDS, NewPlugin, files_of, write
from nexxus.scaffold.reference import markdown

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_package_without_gaps(kind: str):
    files = files_of(NewPlugin("audit-log", KINDS[kind]))
    assert not re.search(r"<<\w+>>", "".join(files.values()))
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["name"] == "nexxus-audit-log"
    assert project["project"]["entry-points"]["nexxus"] == {"audit-log": "nexxus_audit_log"}
    assert KINDS[kind].hook in INTERFACES
    assert f"def {KINDS[kind].hook}(" in files["nexxus_audit_log/__init__.py"]
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")


@pytest.mark.parametrize("name", ["", "Audit", "audit_log", "1st", "a--b", "-a", "a-", "a b", "é"])
def test_an_invalid_name_is_refused_with_the_valid_form(name: str):
    with pytest.raises(ConfigurationError, match="cannot be the name of a plugin: use lower-case"):
        NewPlugin(name, KINDS["worker"])


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    write(NewPlugin("audit", KINDS["worker"]), tmp_path)
    readme = tmp_path / "nexxus-audit" / "README.md"
    readme.write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        write(NewPlugin("audit", KINDS["logger"]), tmp_path)
    assert readme.read_text() == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_formatted_and_its_imports_are_sorted(kind: str, tmp_path: Path):
    write(NewPlugin("acme", KINDS[kind]), tmp_path)
    for command in (["format", "--check"], ["check", "--select", "E,F,I"]):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "100", "."],
            cwd=tmp_path / "nexxus-acme",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stdout


def test_the_committed_page_about_the_kits_is_up_to_date():
    assert (DOCS / "conformance-kits.md").read_text() == markdown(), "run `make reference`"
