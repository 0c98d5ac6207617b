"""Settings come from the right source, and wrong ones are reported precisely."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from nexxus.config import ROLES, Config, Setting
from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.config_provider import ConfigProvider


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ca: str = ""
    verify: bool = True


class ShopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of every kind that an adapter may have."""

    url: str
    pool: Annotated[int, msgspec.Meta(ge=1)] = 4
    tls: Tls = Tls()
    labels: dict[str, str] = {}


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str = "nowhere"


class Vault(ConfigProvider):
    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings

    async def load(self):
        return {"api": {"port": 7001, "host": self._settings.address}, "auth": {"time_cost": 2}}


def keep(settings: ShopSettings, context: AdapterContext) -> ShopSettings:
    return settings


class Shop:
    """A plugin with a database, a worker and a configuration provider."""

    @hookimpl
    def nexxus_databases(self):
        return [Adapter("shop", ShopSettings, keep, interface=1, scope="shared")]

    @hookimpl
    def nexxus_workers(self):
        return [Adapter("mail-out", ShopSettings, keep, interface=1)]

    @hookimpl
    def nexxus_config_providers(self):
        def create(settings: VaultSettings, context: AdapterContext) -> Vault:
            return Vault(settings)

        return [Adapter("vault", VaultSettings, create, interface=1)]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(*overrides: str | Setting, file: str | None = None, **environ: str) -> Config:
    return Config.load(file, environ, overrides, plugins=[Shop()])


def error_of(*overrides: str, file: str | None = None, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(*overrides, file=file, **environ)
    return str(caught.value)


def test_without_any_source_every_setting_has_its_default():
    config = load()
    assert config.server.roles == ROLES
    assert (config.api.host, config.api.port, config.gateway.port) == ("127.0.0.1", 8080, 8081)
    assert config.server.data_dir == Path("nexxus-data")
    assert (config.database.adapter, config.broker.adapter) == ("sqlite", "in-process")
    assert (config.registry.adapter, config.logger.adapter) == ("in-process", "loguru")
    assert set(config.origins.values()) == {"default"}


def test_the_limits_are_those_that_clients_are_promised():
    limits = load().limits
    assert (limits.body, limits.frame, limits.depth) == (1024 * 1024, 1024 * 1024, 64)
    assert (limits.filter_conditions, limits.subscriptions) == (256, 1000)
    assert (limits.sign_in_attempts, limits.requests_per_second) == (10, 0)


def test_a_source_of_higher_priority_wins_key_by_key(empty_folder: Path):
    (empty_folder / "nexxus.toml").write_text(
        '[api]\nport = 1\nhost = "file"\ndocs = false\ncors_origins = ["*"]\n'
        "[server]\nconfig_providers = ['vault']\n[plugins.vault]\naddress = 'provided'\n"
        "[auth]\ntime_cost = 9\nparallelism = 2\n"
    )
    config = load(
        "api.port=5", NEXXUS_API__PORT="4", NEXXUS_API__DOCS="true", NEXXUS_API__HSTS_MAX_AGE="3"
    )
    assert (config.api.port, config.origins["api.port"]) == (5, "command line --set api.port")
    assert (config.api.docs, config.origins["api.docs"]) == (True, "environment NEXXUS_API__DOCS")
    assert config.api.host == "provided"
    assert config.origins["api.host"] == "configuration provider vault"
    assert config.auth.time_cost == 2
    assert config.auth.parallelism == 2
    assert config.origins["auth.parallelism"] == "file nexxus.toml"
    assert config.api.cors_origins == ("*",)
    assert config.origins["api.tls_key"] == "default"


def test_the_last_of_two_overrides_wins():
    flag = Setting(("api", "port"), 3, "command line --port")
    config = load("api.port=1", "api.port=2", flag)
    assert config.api.port == 3
    assert config.origins["api.port"] == "command line --port"


def test_a_variable_without_two_underscores_is_ignored():
    assert load(NEXXUS_HOME="x", NEXXUS_PORT="abc", PORT="1").api.port == 8080


def test_the_environment_sets_sections_and_plugins_with_underscores_or_hyphens():
    config = load(
        "server.workers=['mail-out']",
        NEXXUS_TRANSPORT_MANAGER__BATCH="7",
        NEXXUS_PLUGINS__MAIL_OUT__URL="smtp://x",
        NEXXUS_PLUGINS__MAIL_OUT__TLS__VERIFY="false",
    )
    assert config.transport_manager.batch == 7
    assert config.plugins["mail-out"] == ShopSettings("smtp://x", tls=Tls(verify=False))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12345", "12345"), ('"quoted"', "quoted"), ("plain text", "plain text"), ("true", "true")],
)
def test_text_that_is_not_toml_is_taken_literally_for_a_string(text: str, expected: str):
    assert load(NEXXUS_ADMIN__KEY=text).admin.key == expected


def test_values_are_read_as_toml_if_the_key_is_not_a_string():
    config = load("api.docs=false", 'server.roles=["api", "writer"]', "gateway.resume_window=5")
    assert config.api.docs is False
    assert config.server.roles == ("api", "writer")
    assert config.gateway.resume_window == 5.0


def test_an_adapter_has_its_own_settings_including_nested_ones_and_maps(tmp_path: Path):
    file = tmp_path / "other.toml"
    file.write_text(
        '[database]\nadapter = "shop"\nurl = "shop://x"\n'
        "[database.tls]\nca = 'ca.pem'\n[database.labels]\na = '1'\n"
    )
    config = load("database.tls.verify=false", "database.labels.b=2", file=str(file))
    assert config.database.settings == ShopSettings(
        "shop://x", tls=Tls("ca.pem", verify=False), labels={"a": "1", "b": "2"}
    )
    assert config.origins["database.tls.ca"] == f"file {file}"
    assert config.origins["database.adapter"] == f"file {file}"


def test_declared_applications_are_passed_on_as_written(tmp_path: Path):
    file = tmp_path / "nexxus.toml"
    file.write_text('[[applications]]\nid = "a"\n[applications.schema.task.title]\ntype = "int"\n')
    assert load().applications == ({"id": "a", "schema": {"task": {"title": {"type": "int"}}}},)


def test_with_a_mapping_no_other_source_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "nexxus.toml").write_text("[api]\nport = 1\n")
    monkeypatch.setenv("NEXXUS_API__PORT", "2")
    config = Config.from_mapping({"limits": {"body": 2048}, "server": {"data_dir": tmp_path}})
    assert config.api.port == 8080
    assert config.limits.body == 2048
    assert config.server.data_dir == tmp_path
    assert config.origins["limits.body"] == "mapping"


async def test_providers_can_be_queried_from_within_a_running_loop():
    assert load("server.config_providers=['vault']").api.port == 7001


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("api.prot=1", "api.port"),
        ("gateway.port_number=1", "gateway.port"),
        ("gateway.data_dir=x", "server.data_dir"),
        ("database.synchronus=full", "database.synchronous"),
        ("logger.lvl=info", "logger.level"),
        ("api.port.x=1", "api.port"),
    ],
)
def test_an_unknown_key_is_reported_with_its_source_and_the_nearest_key(
    override: str, nearest: str
):
    key = override.partition("=")[0]
    message = error_of(override)
    assert message.startswith(f"command line --set {key}: unknown key {key}")
    assert f"did you mean {nearest}?" in message


def test_an_unknown_section_or_plugin_is_reported_with_the_nearest_one(tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_text("[databse]\npath = 'x'\n")
    message = error_of(file=str(file))
    assert message.startswith(f"file {file}: unknown key databse.path")
    assert "did you mean database?" in message
    assert "did you mean mail-out?" in error_of("plugins.mail.url=x")
    file.write_text("port = 80\n")
    assert "did you mean api.port?" in error_of(file=str(file))


def test_a_value_that_a_list_does_not_allow_is_reported_with_those_allowed():
    assert "expected one of api, writer," in error_of('server.roles=["cook"]')


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("NEXXUS_API__PORT", "abc", "Expected `int`, got `str`"),
        ("NEXXUS_API__PORT", "70000", "Expected `int` <= 65535"),
        ("NEXXUS_API__DOCS", "1", "Expected `bool`, got `int`"),
        ("NEXXUS_SERVER__ROLES", "[]", "length >= 1"),
        ("NEXXUS_SERVER__ROLES", '["apis"]', "Invalid enum value 'apis'"),
        ("NEXXUS_LOGGER__LEVEL", "loud", "expected one of debug, info"),
        ("NEXXUS_WRITER__TOMBSTONE_HOURS", "23", "Expected `int` >= 24"),
        ("NEXXUS_GATEWAY__RESUME_WINDOW", "-1", "Expected `float` >= 0"),
        ("NEXXUS_API__PORT", "1\nx = 2", "Expected `int`, got `str`"),
    ],
)
def test_a_wrong_value_is_reported_with_its_source_its_key_and_what_fits(
    variable: str, value: str, reason: str
):
    message = error_of(**{variable: value})
    key = variable.removeprefix("NEXXUS_").lower().replace("__", ".")
    assert message.startswith(f"environment {variable}: {key}: ")
    assert reason in message


def test_an_adapter_that_is_not_installed_is_reported_with_those_that_are():
    message = error_of("database.adapter=sqlit")
    assert message.startswith("command line --set database.adapter: database.adapter: ")
    assert "did you mean sqlite?" in message
    assert "shop, sqlite" in message


def test_a_worker_that_is_not_installed_is_reported():
    assert "there is no worker 'male-out'; did you mean mail-out?" in error_of(
        "server.workers=['male-out']"
    )


def test_a_missing_required_setting_is_reported_with_its_variable():
    message = error_of("database.adapter=shop")
    assert "database.url has no default" in message
    assert "NEXXUS_DATABASE__URL" in message


def test_settings_that_contradict_each_other_are_reported():
    message = error_of("api.tls_key=key.pem")
    assert "set both tls_certificate and tls_key" in message


@pytest.mark.parametrize("override", ["api", "api.port", "=1", "api.=1", ".port=1"])
def test_a_malformed_override_is_reported(override: str):
    assert "expected section.key=value" in error_of(override)


def test_a_value_in_place_of_a_section_is_reported(tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_text("api = 8080\n")
    assert error_of(file=str(file)).startswith(f"file {file}: api is a section, not a value")


def test_a_missing_or_malformed_file_is_reported_with_the_line(tmp_path: Path):
    assert "no such file" in error_of(file=str(tmp_path / "none.toml"))
    file = tmp_path / "bad.toml"
    file.write_text("[api]\nport = = 1\n")
    message = error_of(file=str(file))
    assert message.startswith(f"file {file}: is not valid TOML")
    assert "line 2" in message


def test_no_error_shows_the_value_of_a_secret():
    assert "hunter2" not in error_of("database.password=hunter2")
    assert "hunter2" not in error_of(
        "database.adapter=shop", "database.url=['hunter2', 1]", "x.y=1"
    )
