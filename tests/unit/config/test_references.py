"""References are replaced by values from configuration providers, in every setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexxus.config import Config
from nexxus.config.report import changed_keys, describe, to_toml
from nexxus.errors import ConfigurationError, ServiceUnavailable, StartupError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.config_provider import ConfigProvider


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str = ""


class Vault(ConfigProvider):
    """A provider with some secrets that records its calls."""

    def __init__(self, secrets: Mapping[str, str], settings: VaultSettings) -> None:
        self._secrets = secrets
        self.settings = settings
        self.asked: list[str] = []
        self.closed = False

    async def resolve(self, reference: str) -> str:
        self.asked.append(reference)
        if reference == "away":
            raise ServiceUnavailable("https://vault:8200 does not answer")
        if reference not in self._secrets:
            raise ConfigurationError(f"https://vault:8200 has no {reference}; write it there")
        return self._secrets[reference]

    async def close(self) -> None:
        self.closed = True


class Plugin:
    """A plugin with the vault, and a worker with settings of several types."""

    class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        url: str = ""
        port: int = 25
        headers: dict[str, str] = {}
        cc: tuple[str, ...] = ()

    def __init__(self, **secrets: str) -> None:
        self._secrets = {name.replace("__", "#"): secret for name, secret in secrets.items()}
        self.vaults: list[Vault] = []

    @hookimpl
    def nexxus_config_providers(self) -> list[Adapter[Any, ConfigProvider]]:
        def create(settings: VaultSettings, context: AdapterContext) -> Vault:
            self.vaults.append(Vault(self._secrets, settings))
            return self.vaults[-1]

        return [Adapter("vault", VaultSettings, create, interface=1)]

    @hookimpl
    def nexxus_workers(self) -> list[Adapter[Any, Any]]:
        return [Adapter("mail", self.MailSettings, lambda *_: None, interface=1)]


def load(plugin: Plugin, /, **sections: Any) -> Config:
    return Config.from_mapping(sections, plugins=[plugin])


def mail(plugin: Plugin, /, **settings: Any) -> Any:
    config = load(plugin, server={"workers": ["mail"]}, plugins={"mail": settings})
    return config.plugins["mail"]


def error_of(plugin: Plugin, /, **sections: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(plugin, **sections)
    return str(caught.value)


def test_a_reference_is_replaced_alone_or_within_a_text():
    plugin = Plugin(db__password="s3cret", db__user="ann")
    settings = mail(plugin, url="smtp://${vault:db#user}:${vault:db#password}@host")
    assert settings.url == "smtp://ann:s3cret@host"
    assert mail(plugin, url="${vault:db#password}").url == "s3cret"


def test_references_resolve_within_tables_lists_and_applications():
    plugin = Plugin(a="1", b="2")
    settings = mail(plugin, headers={"X-Key": "${vault:a}"}, cc=["x", "${vault:b}"])
    assert (settings.headers, settings.cc) == ({"X-Key": "1"}, ("x", "2"))
    strategies = {"google": {"clientSecret": "${vault:a}"}}
    document = {"id": "tasks", "auth": {"strategies": strategies}}
    (application,) = load(plugin, applications=[document]).applications
    assert application["auth"]["strategies"]["google"]["clientSecret"] == "1"


def test_a_resolved_reference_is_a_string_if_that_fits_otherwise_a_toml_value():
    plugin = Plugin(port="2525", quoted='"quoted"', list='["a", "b"]', text="123")
    assert mail(plugin, port="${vault:port}").port == 2525
    assert mail(plugin, cc="${vault:list}").cc == ("a", "b")
    assert mail(plugin, url="${vault:quoted}").url == '"quoted"'
    assert mail(plugin, url="${vault:text}").url == "123"


def test_references_resolve_in_the_environment_and_in_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    plugin = Plugin(port="9000", origin="https://app.example")
    environ = {"NEXXUS_API__PORT": "${vault:port}"}
    overrides = ["api.cors_origins=['${vault:origin}']"]
    config = Config.load(None, environ, overrides, plugins=[plugin])
    assert config.api.port == 9000
    assert config.api.cors_origins == ("https://app.example",)
    assert config.origins["api.port"] == "environment NEXXUS_API__PORT"


def test_a_doubled_dollar_escapes_a_reference():
    assert mail(Plugin(), url="$${vault:a} and $5").url == "${vault:a} and $5"


def test_a_provider_is_created_once_queried_once_per_reference_and_closed():
    plugin = Plugin(a="1", b="2")
    mail(plugin, url="${vault:a}${vault:b}${vault:a}", headers={"x": "${vault:a}"})
    (vault,) = plugin.vaults
    assert vault.asked == ["a", "b"]
    assert vault.closed


def test_a_provider_without_references_is_not_created():
    plugin = Plugin()
    load(plugin)
    assert plugin.vaults == []


def test_a_replaced_reference_is_not_resolved(tmp_path: Path):
    plugin = Plugin()
    file = tmp_path / "nexxus.toml"
    file.write_text("[admin]\nkey = '${vault:missing}'\n")
    config = Config.load(file, {"NEXXUS_ADMIN__KEY": "mine"}, plugins=[plugin])
    assert config.admin.key == "mine"
    assert plugin.vaults == []


def test_the_settings_of_a_provider_may_refer_to_another_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAULT_TOKEN", "t0ken")
    plugin = Plugin(a="1")
    config = load(
        plugin, admin={"key": "${vault:a}"}, plugins={"vault": {"token": "${env:VAULT_TOKEN}"}}
    )
    assert plugin.vaults[0].settings.token == "t0ken"
    assert config.providers == {"vault": ("a",), "env": ("VAULT_TOKEN",)}


def test_a_provider_whose_settings_refer_to_itself_is_refused():
    message = error_of(
        Plugin(), admin={"key": "${vault:a}"}, plugins={"vault": {"token": "${vault:b}"}}
    )
    assert "plugins.vault.token: ${vault:b} cannot be resolved" in message
    assert "'vault' refer to itself" in message


def test_even_the_server_section_may_have_references(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POD_NAME", "node-7")
    assert load(Plugin(), server={"node": "${env:POD_NAME}"}).server.node == "node-7"


# What cannot be resolved


def test_an_error_names_the_key_the_reference_the_provider_and_the_fix():
    message = error_of(Plugin(), admin={"key": "${vault:db#admin}"})
    assert message == (
        "mapping: admin.key: ${vault:db#admin} cannot be resolved: the configuration provider "
        "'vault': https://vault:8200 has no db#admin; write it there"
    )


def test_a_provider_that_cannot_be_reached_prevents_the_start_and_is_named():
    with pytest.raises(StartupError, match=r"admin\.key: \$\{vault:away\}.*'vault'.*not answer"):
        load(Plugin(), admin={"key": "${vault:away}"})


def test_a_provider_that_is_not_installed_is_named_with_those_that_are():
    message = error_of(Plugin(), admin={"key": "${valt:a}"})
    assert "admin.key: ${valt:a} cannot be resolved" in message
    assert "no configuration provider 'valt'; did you mean vault?" in message
    assert "installed: env, file, vault" in message


@pytest.mark.parametrize("text", ["${HOME}", "${}", "${:x}", "${vault:}"])
def test_a_malformed_reference_is_refused_with_the_correct_form(text: str):
    message = error_of(Plugin(), admin={"key": text})
    assert message.startswith(f"mapping: admin.key: {text} is not a valid reference")
    assert "$${" in message


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"api": {"port": "${vault:secret}"}}, "api.port"),
        ({"logger": {"level": "${vault:secret}"}}, "logger.level"),
    ],
)
def test_a_secret_that_does_not_fit_is_reported_without_showing_it(
    sections: dict[str, Any], key: str
):
    message = error_of(Plugin(secret="hunter2"), **sections)
    assert message.startswith(f"mapping: {key}: the value of ${{vault:secret}} does not fit")
    assert "hunter2" not in message


# What is shown


def test_the_report_shows_references_and_never_their_values():
    plugin = Plugin(a="hunter2", b="hunter3")
    strategies = {"google": {"clientID": "${vault:a}", "clientSecret": "plain-secret"}}
    config = load(
        plugin,
        admin={"key": "${vault:a}"},
        server={"workers": ["mail"]},
        plugins={"mail": {"url": "smtp://ann:${vault:b}@host", "cc": ["shown", "x-${vault:b}"]}},
        applications=[{"id": "tasks", "auth": {"strategies": strategies}}],
    )
    described = describe(config)
    assert described["admin.key"] == {"value": "${vault:a}", "origin": "mapping"}
    assert described["plugins.mail.cc"]["value"] == ["shown", "x-${vault:b}"]
    google = described["applications"]["value"][0]["auth"]["strategies"]["google"]
    assert google == {"clientID": "${vault:a}", "clientSecret": "***"}
    shown = to_toml(config)
    assert "hunter" not in shown
    assert "plain-secret" not in shown


def test_a_changed_secret_behind_a_reference_is_a_change():
    former = load(Plugin(a="1"), admin={"key": "${vault:a}"})
    present = load(Plugin(a="2"), admin={"key": "${vault:a}"}, api={"port": 1})
    assert changed_keys(former, present) == ["api.port", "admin.key"]
    assert changed_keys(former, former) == []


# The built-in providers


def test_a_file_is_read_without_its_final_line_break(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(b" two\nlines \r\n")
    assert load(Plugin(), admin={"key": f"${{file:{secret}}}"}).admin.key == " two\nlines "


def test_a_missing_or_binary_file_is_named(tmp_path: Path):
    missing = tmp_path / "missing"
    assert f"there is no file {missing}" in error_of(
        Plugin(), admin={"key": f"${{file:{missing}}}"}
    )
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    message = error_of(Plugin(), admin={"key": f"${{file:{binary}}}"})
    assert f"admin.key: ${{file:{binary}}} cannot be resolved" in message
    assert "is not text in UTF-8" in message
    assert "cannot be read: Is a directory" in error_of(
        Plugin(), admin={"key": f"${{file:{tmp_path}}}"}
    )


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    message = error_of(Plugin(), admin={"key": "${env:NOT_THERE}"})
    assert "'env': the environment variable NOT_THERE is not set; set it" in message
