"""The kinds of plugins that a package can be written for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class NewKind(msgspec.Struct, frozen=True, kw_only=True):
    """What the templates of a kind have in common with those of others.

    `module` is the implementation's, `suffix` the end of its class's name, and `arguments` what
    `create` gives to it. `selection` says how a configuration selects the adapter; ``<<name>>``
    stands for its name. `shows` says what the conformance kit of the kind, `kit`, tests. `scope` is
    that of a database or a broker, and `dependencies` are what the implementation imports besides
    Nexxus.
    """

    name: str
    title: str
    hook: str
    interface_module: str
    interface: str
    module: str
    suffix: str
    arguments: str
    summary: str
    selection: str
    kit: str
    shows: str
    scope: str = ""
    dependencies: tuple[str, ...] = ()


def _toml(text: str, introduction: str = "Select it in `nexxus.toml`:") -> str:
    return f"{introduction}\n\n```toml\n{text}\n```"


_KINDS: Final = (
    NewKind(
        name="worker",
        title="custom worker",
        hook="nexxus_workers",
        interface_module="worker",
        interface="Worker",
        module="worker",
        suffix="Worker",
        arguments="settings, data_dir=context.data_dir",
        summary="appends a line to a file for each event",
        selection=_toml('[server]\nworkers = ["<<name>>"]'),
        kit="nexxus.testing.worker_kit.WorkerConformance",
        shows="Runs the worker in a whole Nexxus: every kind of event, events that come again, "
        "batches that are cut off or larger than it takes, a restart, a service that is away."
        " A worker that wants other models overrides `application` and `write`; one with a "
        "service overrides `settings` and `unreachable_settings`.",
    ),
    NewKind(
        name="logger",
        title="logger",
        hook="nexxus_loggers",
        interface_module="logger",
        interface="Logger",
        module="logger",
        suffix="Logger",
        arguments="settings, data_dir=context.data_dir, node=context.node",
        summary="JSON lines in a file",
        selection=_toml('[logger]\nadapter = "<<name>>"'),
        kit="nexxus.testing.logger_kit.LoggerConformance",
        shows="Order, levels, fields of any type, errors without secrets, bursts from several "
        "threads, what comes before `open`, and closing.",
    ),
    NewKind(
        name="config-provider",
        title="configuration provider",
        hook="nexxus_config_providers",
        interface_module="config_provider",
        interface="ConfigProvider",
        module="config_provider",
        suffix="Provider",
        arguments="settings",
        summary="secrets from a JSON file",
        selection=_toml(
            '[admin]\nkey = "${<<name>>:admin-key}"\n\n'
            '[plugins.<<name>>]\npath = "/etc/nexxus/secrets.json"',
            "Refer to it in `nexxus.toml`:",
        ),
        kit="nexxus.testing.config_provider_kit.ConfigProviderConformance",
        shows="Loading, resolving, unknown references, a source that cannot be reached, and that a "
        "secret is never shown. A provider that loads settings overrides `settings`; one that"
        " watches sets `watches` and overrides `change`.",
    ),
    NewKind(
        name="auth-strategy",
        title="sign-in strategy",
        hook="nexxus_auth_strategies",
        interface_module="auth_strategy",
        interface="AuthStrategy",
        module="auth_strategy",
        suffix="Strategy",
        arguments="",
        summary="tickets that another system has signed",
        selection="An application names it, under `auth`:\n\n"
        '```json\n{"strategies": {"<<name>>": {"secret": "…"}}}\n```',
        kit="nexxus.testing.auth_strategy_kit",
        shows="`CredentialsStrategyConformance` for strategies of credentials: the same person each"
        " time, refusals that tell nothing, names for counting attempts, settings that are "
        "checked. `RedirectStrategyConformance` for strategies of redirects: instead of "
        "`right` and `wrong` it takes `sign_in(url)` and `decline(url)`, which play the "
        "browser at the provider and return the query of the callback.",
    ),
    NewKind(
        name="database",
        title="database",
        hook="nexxus_databases",
        interface_module="database",
        interface="Database",
        module="database",
        suffix="Database",
        arguments="settings, data_dir=context.data_dir",
        summary="everything in memory, and a file with all changes",
        selection=_toml('[database]\nadapter = "<<name>>"'),
        kit="nexxus.testing.database_kit.DatabaseConformance",
        shows="Compare-and-set, tombstones, pages in every order, schema changes, tenants that are "
        "apart, and by random filters that each means what the matcher says. `reopen` closes "
        "the database and opens another on the same storage. SQL databases find their filters"
        " and pages in `nexxus.toolkit.sql`.",
        scope="process",
    ),
    NewKind(
        name="broker",
        title="broker",
        hook="nexxus_brokers",
        interface_module="broker",
        interface="Broker",
        module="broker",
        suffix="Broker",
        arguments="settings",
        summary="groups and mailboxes in memory",
        selection=_toml('[broker]\nadapter = "<<name>>"'),
        kit="nexxus.testing.broker_kit.BrokerConformance",
        shows="Order per key, groups, settling, retries, members that come and go, mailboxes. A "
        "durable broker subclasses `StoredBrokerConformance`, or `DurableBrokerConformance` if "
        "several processes share it, and overrides `open_broker`. `nexxus.toolkit.backlog` and "
        "`nexxus.toolkit.delivery_buffer` keep the order of retries.",
        scope="process",
    ),
    NewKind(
        name="transport",
        title="transport",
        hook="nexxus_transports",
        interface_module="transport",
        interface="Transport",
        module="transport",
        suffix="Transport",
        arguments="settings",
        summary="frames over bare TCP, a JSON document a line",
        selection=_toml('[gateway]\ntransports = ["websockets", "<<name>>"]'),
        kit="nexxus.testing.transport_kit.TransportConformance",
        shows="Registering, order, bursts, slow peers, closing and resuming, on a real gateway. "
        "`connect` returns a `Peer`: a client as the author of the transport would write it. One "
        "whose protocol carries frames is a `FramePeer`. What a transport mounts is served at "
        "`host.port`; run the kit again with "
        '`server = "asgi"`, in a subclass, to show that the mounts work in another server, too.',
    ),
    NewKind(
        name="push-service",
        title="push service",
        hook="nexxus_push_services",
        interface_module="push_service",
        interface="PushService",
        module="push_service",
        suffix="Service",
        arguments="settings",
        summary="posts to an endpoint of the device, as UnifiedPush has it",
        selection=_toml('[push]\nservices = ["<<name>>"]'),
        kit="nexxus.testing.push_service_kit.PushServiceConformance",
        shows="Addresses that are checked, shown and silent messages, whole batches, devices that "
        "are gone, a server that is away. The test stands in for the service's server.",
        dependencies=("httpx2>=2.16",),
    ),
)

KINDS: Final[Mapping[str, NewKind]] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""The kinds by the name that ``--kind`` takes."""
