"""The strategy for an application's entry."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest
from accounts_world import (
    APPLICATION,
    AccountsWorld,
    Directory,
    DirectorySettings,
    Provider,
)

from nexxus.accounts.strategies import CredentialsEntry, RedirectEntry, Strategies
from nexxus.domain.application import parse_application
from nexxus.errors import ConfigurationError, InvalidParameters, NotFound
from nexxus.interfaces.auth_strategy import AuthStrategy


def test_an_entry_has_its_strategy_and_its_settings(world: AccountsWorld) -> None:
    entry = world.accounts.strategies.entry(world.app, "directory")

    assert isinstance(entry, CredentialsEntry)
    assert entry.settings == DirectorySettings("staff")
    assert entry.strategy is world.directory


def test_an_entry_with_another_name_states_its_strategy(world: AccountsWorld) -> None:
    entry = world.accounts.strategies.entry(world.app, "second")

    assert isinstance(entry, RedirectEntry)
    assert entry.strategy is world.provider
    assert entry.settings.callback_url == "https://api.example/second"


@pytest.mark.parametrize("name", ["carrier-pigeon", "openid"])
def test_an_unknown_entry_is_not_found(world: AccountsWorld, name: str) -> None:
    with pytest.raises(NotFound):
        world.accounts.strategies.entry(world.app, name)


def test_settings_that_are_no_longer_valid_are_named() -> None:
    strategies = Strategies({"provider": Provider()})
    auth = {"strategies": {"provider": {"callbackUrl": "x"}, "directory": {}}}
    application = parse_application({**APPLICATION, "auth": auth})

    with pytest.raises(InvalidParameters, match=r"auth\.strategies\.provider\.callbackUrl"):
        strategies.entry(application, "provider")
    with pytest.raises(InvalidParameters, match=r"auth\.strategies\.directory"):
        strategies.entry(application, "directory")


class Neither(AuthStrategy[DirectorySettings]):
    settings: ClassVar[type[msgspec.Struct]] = DirectorySettings


class Loose(Provider):
    settings: ClassVar[type[msgspec.Struct]] = DirectorySettings


@pytest.mark.parametrize("strategy", [Neither(), Loose()])
def test_a_plugin_of_neither_kind_is_refused(strategy: Any) -> None:
    with pytest.raises(ConfigurationError, match="'mine'"):
        Strategies({"mine": strategy, "directory": Directory()})
