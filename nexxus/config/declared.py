"""Declared applications: those in the configuration, validated before anything is started."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nexxus.config.config import Config
from nexxus.domain.application import Application, parse_application
from nexxus.domain.strategy_settings import read_entry
from nexxus.errors import ConfigurationError, InvalidParameters
from nexxus.hookspecs import AdapterContext
from nexxus.observability.figures import Figures
from nexxus.observability.standard_error import StandardErrorLogger
from nexxus.plugins import AdapterKind


def check_applications(config: Config) -> None:
    """Raise `ConfigurationError` for the first invalid application, naming it and its source.

    Each needs its own ``id``, by which it is found again at the next start. The settings of its
    sign-in strategies must be those that the installed strategies take.
    """
    seen: set[str] = set()
    for number, document in enumerate(config.applications, 1):
        name = document.get("id") or f"number {number}"
        where = f"{config.origins['applications']}: [[applications]] {name}"
        if "id" not in document:
            raise ConfigurationError(f"{where}: a declared application needs an id")
        try:
            _check_sign_in(config, parse_application(document))
        except InvalidParameters as error:
            raise ConfigurationError(f"{where}: {error}") from error
        if name in seen:
            raise ConfigurationError(f"{where}: this id is declared twice")
        seen.add(name)


def _check_sign_in(config: Config, application: Application) -> None:
    entries = {} if application.auth is None else application.auth.strategies
    types = _strategy_settings(config) if entries else {}
    for name, entry in entries.items():
        read_entry(name, entry, types)


def _strategy_settings(config: Config) -> Mapping[str, type[msgspec.Struct]]:
    """The type of each installed strategy's settings; creating a strategy connects nowhere."""
    server = config.server
    context = AdapterContext(server.node, server.data_dir, StandardErrorLogger(), Figures())
    kind = AdapterKind.AUTH_STRATEGY
    return {
        name: config.catalog.create(kind, name, config.plugins.get(name), context).settings
        for name in config.catalog.names(kind)
    }
