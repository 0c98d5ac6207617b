"""Every extension point of Nexxus, on one page.

A plugin is a Python package with an entry point in the group ``nexxus``; the module that it
names implements any of the hooks below. The built-in adapters use the same hooks, in
`nexxus.adapters.builtin`::

    # pyproject.toml
    [project.entry-points.nexxus]
    postgres = "nexxus_postgres"

    # nexxus_postgres/__init__.py
    from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
    from nexxus_postgres.settings import PostgresSettings

    def create(settings: PostgresSettings, context: AdapterContext):
        from nexxus_postgres.database import PostgresDatabase   # only when it is selected

        return PostgresDatabase(settings)

    @hookimpl
    def nexxus_databases():
        return [Adapter("postgres", PostgresSettings, create, interface=1, scope="shared")]

The module of every installed plugin is imported at each start, together with its settings, so
neither imports a client library: `create` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
import pluggy

from nexxus.interfaces.logger import Logger
from nexxus.observability.figures import Figures

if TYPE_CHECKING:
    from nexxus.interfaces.auth_strategy import AuthStrategy
    from nexxus.interfaces.broker import Broker
    from nexxus.interfaces.config_provider import ConfigProvider
    from nexxus.interfaces.database import Database
    from nexxus.interfaces.push_service import PushService
    from nexxus.interfaces.registry import Registry
    from nexxus.interfaces.transport import Transport
    from nexxus.interfaces.worker import Worker

S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)

PROJECT: Final = "nexxus"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Scope: TypeAlias = Literal["process", "shared"]
"""Who can share what an adapter keeps: the roles of one process, or any number of processes."""

INTERFACES: Final[Mapping[str, tuple[int, ...]]] = {
    "nexxus_databases": (1,),
    "nexxus_brokers": (1,),
    "nexxus_registries": (1,),
    "nexxus_transports": (1,),
    "nexxus_push_services": (1,),
    "nexxus_loggers": (1,),
    "nexxus_workers": (1,),
    "nexxus_auth_strategies": (1,),
    "nexxus_config_providers": (1,),
}
"""The versions of each hook's interface that this Nexxus supports.

A version ends when an implementation that was right for it would no longer be.
"""


class AdapterContext(msgspec.Struct, frozen=True):
    """What an adapter is given of the process that it works for.

    `node` is the process's id among all nodes, `data_dir` the folder that survives a restart.
    `logger` adds the adapter's kind and name to every record; what a logger or a configuration
    provider logs goes to standard error, because nothing else is open that early. `figures` is
    the place for the adapter's own, ``nexxus_<kind>_<name>_…`` in ``/metrics``.
    """

    node: str
    data_dir: Path
    logger: Logger
    figures: Figures


@dataclass(frozen=True, slots=True)
class Adapter(Generic[S, T_co]):
    """An implementation that the configuration may select by its name.

    `settings` is the type of its settings: a
    ``msgspec.Struct(frozen=True, forbid_unknown_fields=True)`` whose fields say what they mean
    with ``Annotated[…, msgspec.Meta(description=…)]``; None if there is nothing to set.
    `create` makes the implementation from the checked settings (None if there are none). It
    neither connects nor blocks: that is what the implementation's ``open`` is for.

    `interface` is the version of the interface that the implementation was written for, one of
    `INTERFACES`. A database, a broker or a registry states its `scope`; with ``"process"``, one
    process has to run all roles.
    """

    name: str
    settings: type[S] | None
    create: Callable[[S, AdapterContext], T_co]
    _: KW_ONLY
    interface: int
    scope: Scope | None = None
    summary: str = ""


@hookspec
def nexxus_databases() -> list[Adapter[Any, Database]]:  # type: ignore[empty-body]
    """Adapters for ``[database]``; each creates a `nexxus.interfaces.database.Database`."""


@hookspec
def nexxus_brokers() -> list[Adapter[Any, Broker]]:  # type: ignore[empty-body]
    """Adapters for ``[broker]``; each creates a `nexxus.interfaces.broker.Broker`."""


@hookspec
def nexxus_registries() -> list[Adapter[Any, Registry]]:  # type: ignore[empty-body]
    """Adapters for ``[registry]``; each creates a `nexxus.interfaces.registry.Registry`."""


@hookspec
def nexxus_transports() -> list[Adapter[Any, Transport]]:  # type: ignore[empty-body]
    """Transports, for ``gateway.transports``; each creates a
    `nexxus.interfaces.transport.Transport`.

    Settings are in ``[plugins.<name>]``.
    """


@hookspec
def nexxus_push_services() -> list[Adapter[Any, PushService]]:  # type: ignore[empty-body]
    """Ways to push to devices without a connection, for ``push.services``.

    Each creates a `nexxus.interfaces.push_service.PushService`. Settings are in
    ``[plugins.<name>]``.
    """


@hookspec
def nexxus_loggers() -> list[Adapter[Any, Logger]]:  # type: ignore[empty-body]
    """Adapters for ``[logger]``; each creates a `nexxus.interfaces.logger.Logger`."""


@hookspec
def nexxus_workers() -> list[Adapter[Any, Worker]]:  # type: ignore[empty-body]
    """Custom workers, for ``server.workers``; each creates a `nexxus.interfaces.worker.Worker`.

    Settings are in ``[plugins.<name>]``.
    """


@hookspec
def nexxus_auth_strategies() -> list[Adapter[Any, AuthStrategy[Any]]]:  # type: ignore[empty-body]
    """Ways to sign in, named under ``auth.strategies`` of an application; each creates a
    `nexxus.interfaces.auth_strategy.CredentialsStrategy` or a `RedirectStrategy`.

    Settings that all applications share are in ``[plugins.<name>]``; those of one application
    have a type that the strategy declares.
    """


@hookspec
def nexxus_config_providers() -> list[Adapter[Any, ConfigProvider]]:  # type: ignore[empty-body]
    """Sources of configuration, for ``server.config_providers``.

    Each creates a `nexxus.interfaces.config_provider.ConfigProvider`. Settings are in
    ``[plugins.<name>]``, from the file, the environment or the command line.
    """
