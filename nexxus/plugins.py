"""Finds plugins, the built-in one and those installed, and knows what each offers."""

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
from nexxus.hookspecs import INTERFACES, PROJECT, Adapter, AdapterContext
from nexxus.version import __version__


class AdapterKind(StrEnum):
    """What an adapter is an implementation of."""

    DATABASE = "database"
    BROKER = "broker"
    REGISTRY = "registry"
    TRANSPORT = "transport"
    PUSH_SERVICE = "push service"
    LOGGER = "logger"
    WORKER = "worker"
    AUTH_STRATEGY = "auth strategy"
    CONFIG_PROVIDER = "configuration provider"


_HOOKS: Final[Mapping[AdapterKind, str]] = {
    AdapterKind.DATABASE: "nexxus_databases",
    AdapterKind.BROKER: "nexxus_brokers",
    AdapterKind.REGISTRY: "nexxus_registries",
    AdapterKind.TRANSPORT: "nexxus_transports",
    AdapterKind.PUSH_SERVICE: "nexxus_push_services",
    AdapterKind.LOGGER: "nexxus_loggers",
    AdapterKind.WORKER: "nexxus_workers",
    AdapterKind.AUTH_STRATEGY: "nexxus_auth_strategies",
    AdapterKind.CONFIG_PROVIDER: "nexxus_config_providers",
}
_WITH_SECTION: Final = (
    AdapterKind.DATABASE,
    AdapterKind.BROKER,
    AdapterKind.REGISTRY,
    AdapterKind.LOGGER,
)
"""The kinds of which a process has one, configured in a section of their own."""

_WITH_SCOPE: Final = (AdapterKind.DATABASE, AdapterKind.BROKER, AdapterKind.REGISTRY)
"""The kinds whose adapters decide whether several processes can work together."""

_SCOPES: Final = {"process": "for one process", "shared": "for any number of nodes"}

BUILT_IN: Final = "nexxus.adapters.builtin"


class Offer(msgspec.Struct, frozen=True):
    """An adapter and where it comes from: ``built in``, or a package with its version."""

    kind: AdapterKind
    adapter: Adapter[Any, Any]
    origin: str

    @property
    def summary(self) -> str:
        """What the adapter says of itself, and who can share it."""
        parts = [self.adapter.summary]
        if self.kind in _WITH_SCOPE and self.adapter.scope is not None:
            parts.append(_SCOPES[self.adapter.scope])
        return "; ".join(filter(None, parts))


class Catalog:
    """Everything that the configuration may select, by kind and name."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._offers: dict[AdapterKind, dict[str, Offer]] = {kind: {} for kind in AdapterKind}
        self._with_settings: dict[str, Offer] = {}
        for offer in offers:
            self._add(offer)

    @classmethod
    def discover(cls, *plugins: object, installed: bool = True) -> Catalog:
        """Find the built-in adapters, those of packages unless `installed` is False, and `plugins`.

        `plugins` are modules or objects with hooks, for an embedder that has its own; one that is
        an installed plugin as well counts once. Raises
        `ConfigurationError` for a plugin that cannot be loaded, that was written for another
        version of an interface, or whose names clash with another's.
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
            if manager.is_registered(plugin):
                continue  # it is installed as well
            register(plugin, f"given by the embedder: {plugin!r}")
        return cls(_offers(manager, origins))

    def offers(self, kind: AdapterKind | None = None) -> list[Offer]:
        """Return the offers, of one kind or of all, in the order of the kinds and then by name."""
        kinds = AdapterKind if kind is None else (kind,)
        return [self._offers[kind][name] for kind in kinds for name in sorted(self._offers[kind])]

    def names(self, kind: AdapterKind) -> list[str]:
        """The names that the configuration may select from, sorted."""
        return sorted(self._offers[kind])

    def get(self, kind: AdapterKind, name: str) -> Adapter[Any, Any] | None:
        """Return the adapter of that name, None if there is none."""
        offer = self._offers[kind].get(name)
        return None if offer is None else offer.adapter

    def create(self, kind: AdapterKind, name: str, settings: Any, context: AdapterContext) -> Any:
        """Create what an adapter is an implementation of, from its checked `settings`.

        The adapter gets `context` with a logger and a place for figures of its own. Raises
        `ConfigurationError` if there is no such adapter, or what it needs is not installed.
        """
        adapter = self.get(kind, name)
        if adapter is None:
            installed = ", ".join(self.names(kind)) or "none"
            raise ConfigurationError(f"there is no {kind} {name!r} (installed: {installed})")
        own = msgspec.structs.replace(
            context,
            logger=context.logger.bind(kind=str(kind), adapter=name),
            figures=context.figures.under(kind, name),
        )
        return adapter.create(settings, own)

    @property
    def plugin_sections(self) -> Mapping[str, Adapter[Any, Any]]:
        """The adapters whose settings are in ``[plugins.<name>]``, by that name."""
        return MappingProxyType(
            {name: offer.adapter for name, offer in self._with_settings.items()}
        )

    def _add(self, offer: Offer) -> None:
        _check(offer)
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


def _check(offer: Offer) -> None:
    """Raise `ConfigurationError` for an adapter that this Nexxus cannot work with."""
    adapter = offer.adapter
    where = f"the plugin {offer.origin}: {offer.kind} {adapter.name!r}"
    supported = INTERFACES[_HOOKS[offer.kind]]
    if adapter.interface not in supported:
        versions = " and ".join(map(str, supported))
        raise ConfigurationError(
            f"{where} was written for version {adapter.interface} of the interface, and Nexxus "
            f"{__version__} supports {versions}; install a version of the plugin that was written "
            "for one of these, or the Nexxus that it was written for"
        )
    if offer.kind in _WITH_SCOPE and adapter.scope not in _SCOPES:
        raise ConfigurationError(
            f"{where} has the scope {adapter.scope!r}; its Adapter needs scope='process' or "
            "scope='shared'"
        )
    settings: Any = adapter.settings
    if settings is not None and not (
        isinstance(settings, type) and issubclass(settings, msgspec.Struct)
    ):
        raise ConfigurationError(
            f"{where} has the settings {settings!r}; they have to be a type of msgspec.Struct, or "
            "None"
        )


def _load(entry_point: EntryPoint, origin: str) -> object:
    try:
        loaded: object = entry_point.load()
    except Exception as error:  # whatever a foreign module may raise while it is imported
        raise ConfigurationError(
            f"the plugin {origin} cannot be loaded ({entry_point.value}): "
            f"{type(error).__name__}: {error}; fix or uninstall it"
        ) from error
    return loaded


def _offers(manager: pluggy.PluginManager, origins: Mapping[object, str]) -> Iterable[Offer]:
    for kind, hook in _HOOKS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            origin = origins[implementation.plugin]
            for adapter in _call(implementation, hook, origin):
                yield Offer(kind, adapter, origin)


def _call(implementation: pluggy.HookImpl, hook: str, origin: str) -> Iterable[Adapter[Any, Any]]:
    try:
        offered: Any = implementation.function()
        adapters = list(offered)
    except Exception as error:  # whatever a foreign module may raise
        raise ConfigurationError(
            f"{hook} of the plugin {origin} failed: {type(error).__name__}: {error}; "
            "fix or uninstall it"
        ) from error
    if not all(isinstance(adapter, Adapter) for adapter in adapters):
        raise ConfigurationError(f"{hook} of the plugin {origin} returned no list of Adapter")
    return adapters
