"""Finds plugins, ours and those installed, and knows what each offers."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

import msgspec
import pluggy

from nexxus import hookspecs
from nexxus.errors import ConfigurationError
from nexxus.hookspecs import PROJECT, Adapter


class Kind(StrEnum):
    """What an adapter is an implementation of."""

    DATABASE = "database"
    BROKER = "broker"
    REGISTRY = "registry"
    TRANSPORT = "transport"
    LOGGER = "logger"
    WORKER = "worker"
    AUTH_STRATEGY = "auth strategy"
    CONFIG_PROVIDER = "configuration provider"


_HOOKS: Final[Mapping[Kind, str]] = {
    Kind.DATABASE: "nexxus_databases",
    Kind.BROKER: "nexxus_brokers",
    Kind.REGISTRY: "nexxus_registries",
    Kind.TRANSPORT: "nexxus_transports",
    Kind.LOGGER: "nexxus_loggers",
    Kind.WORKER: "nexxus_workers",
    Kind.AUTH_STRATEGY: "nexxus_auth_strategies",
    Kind.CONFIG_PROVIDER: "nexxus_config_providers",
}
_WITH_SECTION: Final = (Kind.DATABASE, Kind.BROKER, Kind.REGISTRY, Kind.LOGGER)
"""The kinds of which a process has one, configured in a section of their own."""

BUILT_IN: Final = "nexxus.adapters.builtin"


class Offer(msgspec.Struct, frozen=True):
    """An adapter and where it comes from: ``built in``, or a package with its version."""

    kind: Kind
    adapter: Adapter
    origin: str


class Catalog:
    """Everything that the configuration may select, by kind and name."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._offers: dict[Kind, dict[str, Offer]] = {kind: {} for kind in Kind}
        self._with_settings: dict[str, Offer] = {}
        for offer in offers:
            self._add(offer)

    @classmethod
    def discover(cls, *plugins: object, installed: bool = True) -> Catalog:
        """The built-in adapters, those of packages unless `installed` is False, and `plugins`.

        `plugins` are modules or objects with hooks, for an embedder that has its own. Raises
        `ConfigurationError` when an installed plugin cannot be loaded or two clash.
        """
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        origins: dict[object, str] = {}

        def register(plugin: object, origin: str) -> None:
            try:
                manager.register(plugin)
            except pluggy.PluginValidationError as error:
                raise ConfigurationError(f"the plugin {origin} does not fit: {error}") from error
            origins[plugin] = origin

        register(importlib.import_module(BUILT_IN), "built in")
        found = entry_points(group=PROJECT) if installed else ()
        for entry_point in sorted(found, key=lambda point: point.name):
            package = entry_point.dist
            origin = f"{package.name} {package.version}" if package else entry_point.value
            register(_load(entry_point, origin), origin)
        for plugin in plugins:
            register(plugin, f"given by the embedder: {plugin!r}")
        return cls(_offers(manager, origins))

    def offers(self, kind: Kind | None = None) -> list[Offer]:
        """What there is, of one kind or of all, in the order of the kinds and then by name."""
        kinds = Kind if kind is None else (kind,)
        return [self._offers[kind][name] for kind in kinds for name in sorted(self._offers[kind])]

    def names(self, kind: Kind) -> list[str]:
        """The names that the configuration may select from, sorted."""
        return sorted(self._offers[kind])

    def get(self, kind: Kind, name: str) -> Adapter | None:
        """The adapter of that name."""
        offer = self._offers[kind].get(name)
        return None if offer is None else offer.adapter

    @property
    def plugin_sections(self) -> Mapping[str, Adapter]:
        """The adapters whose settings are in ``[plugins.<name>]``, by that name."""
        return MappingProxyType(
            {name: offer.adapter for name, offer in self._with_settings.items()}
        )

    def _add(self, offer: Offer) -> None:
        name = offer.adapter.name
        other = self._offers[offer.kind].get(name)
        if other is None and offer.kind not in _WITH_SECTION:
            other = self._with_settings.setdefault(name, offer)
            other = None if other is offer else other
        if other is not None:
            raise ConfigurationError(
                f"the plugins {other.origin} and {offer.origin} both offer {name!r} "
                f"({other.kind}, {offer.kind}); uninstall one of them"
            )
        self._offers[offer.kind][name] = offer


def settings_type(adapter: Adapter) -> type[msgspec.Struct] | None:
    """The struct of an adapter's settings, imported now; None where there is nothing to set."""
    if not adapter.settings:
        return None
    module, _, name = adapter.settings.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the settings of {adapter.name!r} cannot be loaded from {adapter.settings}: {error}; "
            "is everything it needs installed?"
        ) from error
    if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
        raise ConfigurationError(
            f"{adapter.settings}, the settings of {adapter.name!r}, is not a msgspec.Struct"
        )
    return found


def _load(entry_point: EntryPoint, origin: str) -> object:
    try:
        loaded: object = entry_point.load()
    except Exception as error:  # whatever a foreign module may raise while it is imported
        raise ConfigurationError(
            f"the plugin {origin} cannot be loaded ({entry_point.value}): "
            f"{type(error).__name__}: {error}; mend or uninstall it"
        ) from error
    return loaded


def _offers(manager: pluggy.PluginManager, origins: Mapping[object, str]) -> Iterable[Offer]:
    for kind, hook in _HOOKS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            origin = origins[implementation.plugin]
            for adapter in implementation.function():
                if not isinstance(adapter, Adapter):
                    raise ConfigurationError(f"{hook} of {origin} returned no list of Adapter")
                yield Offer(kind, adapter, origin)
