"""Strategies: the installed ways to sign in, and which of them serves an application's entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from nexxus.domain.application import Application
from nexxus.domain.strategy_settings import read_entry
from nexxus.errors import ConfigurationError
from nexxus.interfaces.auth_strategy import (
    AuthStrategy,
    CredentialsStrategy,
    RedirectSettings,
    RedirectStrategy,
)


class CredentialsEntry(msgspec.Struct, frozen=True):
    """An entry of ``auth.strategies`` that takes credentials: its name, strategy and settings."""

    name: str
    strategy: CredentialsStrategy[Any, Any]
    settings: msgspec.Struct


class RedirectEntry(msgspec.Struct, frozen=True):
    """An entry of ``auth.strategies`` that redirects: its name, strategy and settings."""

    name: str
    strategy: RedirectStrategy[Any]
    settings: RedirectSettings


Entry: TypeAlias = CredentialsEntry | RedirectEntry


class Strategies:
    """The installed strategies, by name.

    `settings` has the type of each strategy's settings for one application.
    """

    def __init__(self, installed: Mapping[str, AuthStrategy[Any]]) -> None:
        for name, strategy in installed.items():
            _check(name, strategy)
        self.installed = installed
        self.settings: Mapping[str, type[msgspec.Struct]] = {
            name: strategy.settings for name, strategy in installed.items()
        }

    def entry(self, application: Application, name: str) -> Entry:
        """Return the application's entry of that name.

        Raises `NotFound` if there is none, and `InvalidParameters` if it does not fit what is
        installed here, which may have changed since the application was.
        """
        kind, settings = read_entry(name, application.strategy(name), self.settings)
        strategy = self.installed[kind]
        if isinstance(strategy, RedirectStrategy):
            return RedirectEntry(name, strategy, settings)
        if isinstance(strategy, CredentialsStrategy):
            return CredentialsEntry(name, strategy, settings)
        raise _neither(kind)


def _check(name: str, strategy: AuthStrategy[Any]) -> None:
    if not isinstance(strategy, CredentialsStrategy | RedirectStrategy):
        raise _neither(name)
    if isinstance(strategy, RedirectStrategy) and not issubclass(
        strategy.settings, RedirectSettings
    ):
        raise ConfigurationError(
            f"the settings of the sign-in strategy {name!r} are not RedirectSettings; derive "
            f"{strategy.settings.__name__} from them"
        )


def _neither(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"the sign-in strategy {name!r} is neither a CredentialsStrategy nor a RedirectStrategy; "
        "fix or uninstall its plugin"
    )
