"""Every extension point of Nexxus, on one page.

A plugin is a Python package with an entry point in the group ``nexxus``; the module that it
names implements any of the hooks below. The built-in adapters use the same hooks, in
`nexxus.adapters.builtin`::

    # pyproject.toml
    [project.entry-points.nexxus]
    postgres = "nexxus_postgres"

    # nexxus_postgres/__init__.py
    from nexxus.hookspecs import Adapter, AdapterContext, hookimpl

    def create(settings, context: AdapterContext):
        from nexxus_postgres.database import PostgresDatabase   # only when it is selected

        return PostgresDatabase(settings)

    @hookimpl
    def nexxus_databases():
        return [Adapter("postgres", "nexxus_postgres.settings:PostgresSettings", create)]

Every installed plugin's module is imported at each start, so it imports what it wraps only
inside `create`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pluggy

PROJECT: Final = "nexxus"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class AdapterContext(msgspec.Struct, frozen=True):
    """What an adapter may know of the process it is made for.

    `node` is the process's id among all nodes, `data_dir` the folder that outlives it.
    """

    node: str
    data_dir: Path


class Adapter(msgspec.Struct, frozen=True):
    """An implementation that the configuration may select by its name.

    `settings` is where the struct of its settings lives, ``module:Name``: a
    ``msgspec.Struct(frozen=True, forbid_unknown_fields=True)`` whose fields say what they mean
    with ``Annotated[…, msgspec.Meta(description=…)]``. It is empty where there is nothing to set.
    `create` makes the implementation from the checked settings (None where there are none);
    it neither connects nor blocks, that is for the implementation's ``open``.
    """

    name: str
    settings: str
    create: Callable[[Any, AdapterContext], Any]
    summary: str = ""


@hookspec
def nexxus_databases() -> list[Adapter]:  # type: ignore[empty-body]
    """Adapters for ``[database]``; each creates a `nexxus.interfaces.database.Database`."""


@hookspec
def nexxus_brokers() -> list[Adapter]:  # type: ignore[empty-body]
    """Adapters for ``[broker]``; each creates a `nexxus.interfaces.broker.Broker`."""


@hookspec
def nexxus_registries() -> list[Adapter]:  # type: ignore[empty-body]
    """Adapters for ``[registry]``; each creates a `nexxus.interfaces.registry.Registry`."""


@hookspec
def nexxus_transports() -> list[Adapter]:  # type: ignore[empty-body]
    """Transports, for ``gateway.transports``; each creates a
    `nexxus.interfaces.transport.Transport`.

    Settings are in ``[plugins.<name>]``.
    """


@hookspec
def nexxus_loggers() -> list[Adapter]:  # type: ignore[empty-body]
    """Adapters for ``[logger]``; each creates a `nexxus.interfaces.logger.Logger`."""


@hookspec
def nexxus_workers() -> list[Adapter]:  # type: ignore[empty-body]
    """Custom workers, for ``server.workers``; each creates a `nexxus.interfaces.worker.Worker`.

    Settings are in ``[plugins.<name>]``.
    """


@hookspec
def nexxus_auth_strategies() -> list[Adapter]:  # type: ignore[empty-body]
    """Ways to sign in, named under ``auth.strategies`` of an application.

    Settings that all applications share are in ``[plugins.<name>]``.
    """


@hookspec
def nexxus_config_providers() -> list[Adapter]:  # type: ignore[empty-body]
    """Sources of configuration, for ``server.config_providers``.

    Each creates a `nexxus.interfaces.config_provider.ConfigProvider`. Settings are in
    ``[plugins.<name>]``, from the file, the environment or the command line.
    """
