"""The command line: its options, its output and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nexxus.cli.root import cli
from nexxus.config import Config
from nexxus.errors import StartupError
from nexxus.process import process
from nexxus.version import __version__

COMMANDS = ["serve", "check", "app", "user", "dead", "tail", "bench", "config", "plugins",
            "completion", "version"]  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nexxus(*arguments: str, environ: dict[str, str] | None = None, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, env=environ, input=stdin)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations with which servers would have been run."""
    configs: list[Config] = []

    def serve(config: Config, load: Callable[[], Config]) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(process, "serve", serve)
    return configs


def test_the_overview_names_every_command_and_the_exit_codes():
    result = nexxus("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output
    assert "Exit codes: 0" in result.output


@pytest.mark.parametrize("command", [*COMMANDS, "app create", "app list", "user update",
                                     "dead list", "dead show", "dead replay", "dead discard",
                                     "config show", "config check"])  # fmt: skip
def test_every_command_has_help(command: str):
    result = nexxus(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {command}")


def test_a_misspelt_command_is_reported_with_the_nearest_one():
    result = nexxus("servee")
    assert result.exit_code == 2
    assert "There is no command 'servee'. Did you mean 'serve'?" in result.output


def test_the_version_is_printed():
    assert nexxus("version").output == f"{__version__}\n"


def test_small_commands_import_neither_the_server_nor_its_clients():
    heavy = ("starlette", "uvicorn", "httpx2", "websockets", "loguru", "pluggy", "asyncio")
    code = (
        "import sys\nfrom nexxus.cli import main\n"
        "sys.argv = ['nexxus', '--help']\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr.strip().splitlines()[-1] == "[]"


def test_serve_runs_with_the_defaults(served: list[Config]):
    assert nexxus("serve").exit_code == 0
    assert set(served[0].origins.values()) == {"default"}


def test_serve_takes_its_settings_from_its_flags(served: list[Config]):
    flags = ["--roles", "api, writer", "--host", "::1", "--port", "9000"]
    flags += ["--gateway-port", "9001", "--data-dir", "elsewhere", "--demo"]
    result = nexxus("serve", *flags, "--set", "limits.body=4096", "--set", "api.port=1")
    assert result.exit_code == 0, result.output
    (config,) = served
    assert config.server.roles == ("api", "writer")
    assert (config.api.host, config.gateway.host) == ("::1", "::1")
    assert (config.api.port, config.gateway.port) == (9000, 9001)
    assert config.server.data_dir == Path("elsewhere")
    assert config.server.demo is True
    assert config.limits.body == 4096
    assert config.origins["server.roles"] == "command line --roles"
    assert config.origins["gateway.port"] == "command line --gateway-port"


def test_port_0_is_a_port_too(served: list[Config]):
    assert nexxus("serve", "--port", "0", "--gateway-port", "0").exit_code == 0
    assert (served[0].api.port, served[0].gateway.port) == (0, 0)


def test_serve_reads_the_given_file_or_the_one_in_the_working_directory(
    served: list[Config], empty_folder: Path
):
    (empty_folder / "nexxus.toml").write_text("[api]\nport = 1\n")
    (empty_folder / "other.toml").write_text("[api]\nport = 2\n")
    assert nexxus("serve").exit_code == 0
    assert nexxus("serve", "--config", "other.toml").exit_code == 0
    assert [config.api.port for config in served] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "70000"], "command line --port: api.port: Expected `int` <= 65535"),
        (["--port", "abc"], "'abc' is not a valid integer"),
        (["--roles", "apis"], "command line --roles: server.roles: Invalid enum value 'apis'"),
        (["--config", "none.toml"], "file none.toml: no such file"),
        (["--set", "api.prot=1"], "unknown key api.prot; did you mean api.port?"),
        (["--hots", "x"], "--host"),
    ],
)
def test_serve_exits_with_2_and_the_reason_for_wrong_settings(
    served: list[Config], arguments: list[str], reason: str
):
    result = nexxus("serve", *arguments)
    assert result.exit_code == 2
    assert reason in result.output
    assert served == []


def test_a_failed_start_exits_with_1(monkeypatch: pytest.MonkeyPatch):
    def serve(config: Config, load: Callable[[], Config]) -> int:
        raise StartupError("the port 8080 is in use")

    monkeypatch.setattr(process, "serve", serve)
    result = nexxus("serve")
    assert result.exit_code == 1
    assert result.output == "Error: the port 8080 is in use\n"


def test_config_check_confirms_and_lists_the_sources():
    assert "All settings have their defaults." in nexxus("config", "check").output
    result = nexxus("config", "check", environ={"NEXXUS_API__PORT": "1"})
    assert result.exit_code == 0
    assert "Set by environment NEXXUS_API__PORT." in result.output


def test_config_check_validates_declared_applications(empty_folder: Path):
    (empty_folder / "nexxus.toml").write_text(
        '[[applications]]\nid = "shop"\nschema.item.colour = { type = "color" }\n'
    )
    result = nexxus("config", "check")
    assert result.exit_code == 2
    assert "file nexxus.toml: [[applications]] shop: schema.item.colour.type" in result.output


def test_config_check_validates_the_roles_against_the_adapters():
    result = nexxus("config", "check", "--set", 'server.roles=["api"]')
    assert result.exit_code == 2
    assert "must run in this process with broker.adapter = 'in-process'" in result.output


def test_config_show_prints_toml_with_origins_and_without_secrets():
    result = nexxus("config", "show", environ={"NEXXUS_ADMIN__KEY": "hunter2"})
    assert tomllib.loads(result.output)["admin"]["key"] == "***"
    assert "# environment NEXXUS_ADMIN__KEY" in result.output
    shown = json.loads(nexxus("config", "show", "--json").output)
    assert shown["api.port"] == {"value": 8080, "origin": "default"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str):
    result = nexxus("completion", shell)
    assert result.exit_code == 0
    assert "_NEXXUS_COMPLETE" in result.output


def test_commands_are_completed():
    environ = {"_CLI_COMPLETE": "bash_complete", "COMP_WORDS": "cli co", "COMP_CWORD": "1"}
    result = CliRunner().invoke(cli, prog_name="cli", env=environ)
    assert result.output.split() == ["plain,config", "plain,completion"]


@pytest.mark.parametrize("command", ["check", "app list", "user list a", "tail a m", "bench",
                                     "dead list", "dead replay x"])  # fmt: skip
def test_without_a_server_commands_exit_with_1_and_name_the_url(command: str):
    options = ["--url", "http://127.0.0.1:9", "--admin-key", "k"]
    result = nexxus(*command.split(), *options)
    assert result.exit_code == 1
    assert "http://127.0.0.1:9 does not respond" in result.output


def test_without_an_admin_key_the_ways_to_give_it_are_listed():
    result = nexxus("app", "list", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "--admin-key" in result.output
    assert "NEXXUS_ADMIN__KEY" in result.output


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "--file app.json"), ("[]", "expected an application")]
)
def test_an_invalid_document_is_refused_before_any_request(
    empty_folder: Path, content: str, reason: str
):
    (empty_folder / "app.json").write_text(content)
    result = nexxus("app", "create", "--file", "app.json")
    assert result.exit_code == 2
    assert reason in result.output


def test_an_update_of_nothing_is_wrong_usage():
    result = nexxus("user", "update", "a", "u")
    assert result.exit_code == 2
    assert "Nothing to change" in result.output


@pytest.mark.parametrize("arguments", [(), ("x", "--all"), ("x", "--queue", "writer")])
@pytest.mark.parametrize("command", ["replay", "discard"])
def test_dead_letters_need_ids_or_all(command: str, arguments: tuple[str, ...]):
    options = ["--url", "http://127.0.0.1:9", "--admin-key", "k"]
    result = nexxus("dead", command, *arguments, *options)
    assert result.exit_code == 2
    assert "Give ids, or --all" in result.output


def test_a_filter_that_is_not_json_is_wrong_usage():
    result = nexxus("tail", "a", "m", "--filter", "{")
    assert result.exit_code == 2
    assert "--filter is not valid JSON" in result.output


def test_deleting_asks_for_confirmation():
    result = nexxus("app", "delete", "a", "--admin-key", "k", stdin="n\n")
    assert result.exit_code == 1
    assert "Delete a with all its data?" in result.output
