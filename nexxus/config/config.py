"""The complete, validated configuration of a process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nexxus.config.providers import Providers
from nexxus.config.resolve import Resolver
from nexxus.config.sections import (
    AdapterSection,
    AdminSection,
    ApiSection,
    AuthSection,
    GatewaySection,
    HealthSection,
    LimitsSection,
    PushSection,
    ServerSection,
    TransportManagerSection,
    WriterSection,
)
from nexxus.config.sources import (
    Setting,
    from_environment,
    from_file,
    from_mapping,
    from_overrides,
)
from nexxus.plugins import AdapterKind, Catalog

SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "server": ServerSection,
    "api": ApiSection,
    "gateway": GatewaySection,
    "health": HealthSection,
    "writer": WriterSection,
    "transport_manager": TransportManagerSection,
    "push": PushSection,
    "auth": AuthSection,
    "admin": AdminSection,
    "limits": LimitsSection,
}
"""The sections whose keys do not depend on the selected adapters."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The validated configuration; create it with `load` or `from_mapping`.

    `plugins` maps the names of plugins that have a section or are selected to their settings.
    `applications` are application documents that are not validated yet. `origins` maps each dotted
    key to the source of its value, `references` to the text in which references were resolved.
    `providers` maps each configuration provider that was used to the references that it resolved.
    `catalog` has all available adapters.
    """

    server: ServerSection
    api: ApiSection
    gateway: GatewaySection
    health: HealthSection
    writer: WriterSection
    transport_manager: TransportManagerSection
    push: PushSection
    database: AdapterSection
    broker: AdapterSection
    registry: AdapterSection
    logger: AdapterSection
    auth: AuthSection
    admin: AdminSection
    limits: LimitsSection
    applications: tuple[dict[str, Any], ...]
    plugins: Mapping[str, msgspec.Struct]
    origins: Mapping[str, str]
    references: Mapping[str, str]
    providers: Mapping[str, tuple[str, ...]]
    catalog: Catalog

    @classmethod
    def load(
        cls,
        file: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Iterable[str | Setting] = (),
        *,
        plugins: Iterable[object] = (),
    ) -> Config:
        """Load the configuration from all sources.

        In descending priority these are `overrides` (``section.key=value``; the last one wins),
        `environ` (None: the process's environment), configuration providers, `file` (None:
        ``nexxus.toml`` if it exists) and the defaults. `plugins` are modules with hooks that are
        not installed. Blocks while it reads files and queries configuration providers.

        Raises `ConfigurationError`, which names the source, the key and the nearest known key, or
        the reference and its provider; and `StartupError` if a provider cannot be reached.
        """
        catalog = Catalog.discover(*plugins)
        lower = from_file(Path(file) if file is not None else None)
        upper = from_environment(os.environ if environ is None else environ)
        for override in overrides:
            upper += [override] if isinstance(override, Setting) else from_overrides([override])
        with Providers([*lower, *upper], SECTIONS, catalog) as providers:
            return _resolve([*lower, *providers.load(), *upper], catalog, providers)

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any], *, plugins: Iterable[object] = ()) -> Config:
        """Create a configuration from a mapping (section → key → value) and the defaults.

        Files and the environment are read only to resolve references. Raises the same errors as
        `load`.
        """
        catalog = Catalog.discover(*plugins)
        settings = from_mapping(document, "mapping")
        with Providers(settings, SECTIONS, catalog) as providers:
            return _resolve([*providers.load(), *settings], catalog, providers)


def _resolve(settings: list[Setting], catalog: Catalog, providers: Providers) -> Config:
    resolver = Resolver(settings, SECTIONS, catalog, providers.resolve)
    server = resolver.section("server", ServerSection)
    gateway = resolver.section("gateway", GatewaySection)
    push = resolver.section("push", PushSection)
    selected = {
        "gateway.transports": (AdapterKind.TRANSPORT, gateway.transports),
        "push.services": (AdapterKind.PUSH_SERVICE, push.services),
        "server.workers": (AdapterKind.WORKER, server.workers),
        "server.config_providers": (AdapterKind.CONFIG_PROVIDER, server.config_providers),
    }
    for key, (kind, names) in selected.items():
        resolver.check_names(kind, names, key)
    plugins = resolver.plugins(name for _, names in selected.values() for name in names)
    return Config(
        server=server,
        api=resolver.section("api", ApiSection),
        gateway=gateway,
        health=resolver.section("health", HealthSection),
        writer=resolver.section("writer", WriterSection),
        transport_manager=resolver.section("transport_manager", TransportManagerSection),
        push=push,
        database=resolver.adapter("database"),
        broker=resolver.adapter("broker"),
        registry=resolver.adapter("registry"),
        logger=resolver.adapter("logger"),
        auth=resolver.section("auth", AuthSection),
        admin=resolver.section("admin", AdminSection),
        limits=resolver.section("limits", LimitsSection),
        applications=resolver.applications(),
        plugins={**plugins, **resolver.plugins(providers.asked)},
        origins=resolver.origins,
        references=resolver.references,
        providers=providers.asked,
        catalog=catalog,
    )
