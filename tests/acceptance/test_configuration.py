"""Contract §10: where settings come from, and what is said of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from server import run_nexxus

contract = partial(pytest.mark.contract, "10. The process")


@contract("the sources of settings")
def test_the_command_line_overrides_the_environment_and_that_the_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "nexxus.toml").write_text(
        "[api]\nport = 1001\n[gateway]\nport = 1002\n[writer]\n[limits]\nbody = 1003\n"
    )
    result = run_nexxus(
        *("config", "show", "--set", "api.port=3001"),
        cwd=tmp_path,
        NEXXUS_API__PORT="2001",
        NEXXUS_GATEWAY__PORT="2002",
    )

    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert "3001" in text
    assert "2002" in text
    assert "1003" in text
    for overruled in ("1001", "2001", "1002"):
        assert overruled not in text


@contract("the sources of settings")
def test_secrets_are_masked(tmp_path: Path) -> None:
    result = run_nexxus("config", "show", cwd=tmp_path, NEXXUS_ADMIN__KEY="hush-hush-hush")

    assert result.returncode == 0, result.stderr
    assert "hush" not in result.stdout + result.stderr


@contract("the sources of settings")
def test_a_valid_file_passes_the_check_and_an_invalid_one_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[api]\nport = 9000\n")
    bad.write_text("[api]\nprt = 9000\n")

    assert run_nexxus("config", "check", "--config", str(good), cwd=tmp_path).returncode == 0
    result = run_nexxus("config", "check", "--config", str(bad), cwd=tmp_path)
    assert result.returncode == 2
    for word in ("bad.toml", "api.prt", "port"):
        assert word in result.stderr + result.stdout


@contract("the sources of settings")
def test_a_missing_or_malformed_file_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[api\nport=")

    for name in ("nowhere.toml", "broken.toml"):
        result = run_nexxus("config", "check", "--config", name, cwd=tmp_path)
        assert result.returncode == 2
        assert name in result.stderr + result.stdout
        assert "Traceback" not in result.stderr


@contract("the sources of settings")
def test_a_variable_without_two_underscores_is_ignored(tmp_path: Path) -> None:
    result = run_nexxus("config", "check", cwd=tmp_path, NEXXUS_URL="http://elsewhere")

    assert result.returncode == 0, result.stderr
