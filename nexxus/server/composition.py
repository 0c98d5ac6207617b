"""The composition root: configuration in, finished parts out. Nothing is opened and nothing runs.

Nothing else reads the configuration, and nothing is looked up globally: whoever wants to know
what a Nexxus process is made of reads `compose` from top to bottom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nexxus.accounts.devices import Devices
from nexxus.accounts.external_sign_in import ExternalSignIn
from nexxus.accounts.passwords import Passwords
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.user_records import UserRecords
from nexxus.accounts.users import LOCAL, Users
from nexxus.api.services import Services
from nexxus.applications.applications import Applications, Listener
from nexxus.cluster.inbox import NodeInbox
from nexxus.cluster.membership import Membership
from nexxus.cluster.messages import Acknowledged, Outcome
from nexxus.cluster.peers import Nodes
from nexxus.config import AdapterSection, Config
from nexxus.domain.application import Application
from nexxus.errors import ConfigurationError
from nexxus.gateway import Gateway, GatewaySettings
from nexxus.gateway.client_actions import GatewayActions
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.auth_strategy import AuthStrategy
from nexxus.interfaces.broker import TRANSPORT_MANAGER, WRITER, Queue, worker_queue
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Node
from nexxus.objects.narrowing import Narrowing
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.subscriptions import Subscriptions
from nexxus.objects.writes import Writes
from nexxus.plugins import Kind
from nexxus.server.metrics import Metrics
from nexxus.server.parts import Actions, Adapters, Parts
from nexxus.server.transports import Transports
from nexxus.toolkit.rate_limit import RateLimit
from nexxus.transport_manager import TransportManager
from nexxus.version import __version__
from nexxus.workers.runner import WorkerRunner
from nexxus.writer import TombstoneSweeper, Writer

HOME: Final = "websockets"
"""The transport whose queue also carries what is for the node itself: every node consumes it."""

_SWEEP_EVERY: Final = 300.0


def create_adapter(
    config: Config, kind: Kind, section: AdapterSection, context: AdapterContext
) -> Any:
    """Create the adapter that a section of the configuration names."""
    return config.catalog.create(kind, section.adapter, section.settings, context)


def _create_plugin(config: Config, kind: Kind, name: str, context: AdapterContext) -> Any:
    """Create an adapter whose settings are in ``[plugins.<name>]``."""
    return config.catalog.create(kind, name, config.plugins.get(name), context)


def create_adapters(config: Config, context: AdapterContext, logger: Logger) -> Adapters:
    """The adapters of the backing services."""
    return Adapters(
        logger=logger,
        database=create_adapter(config, Kind.DATABASE, config.database, context),
        broker=create_adapter(config, Kind.BROKER, config.broker, context),
        registry=create_adapter(config, Kind.REGISTRY, config.registry, context),
    )


def compose(config: Config, context: AdapterContext, adapters: Adapters) -> Parts:
    """Put the parts together. To be called within the event loop that they work in."""
    logger, broker, registry = adapters.logger, adapters.broker, adapters.registry
    nodes = Nodes(broker, here=context.node, home=HOME)
    applications = Applications(
        database=adapters.database,
        nodes=nodes,
        registry=registry,
        strategies={LOCAL, *config.catalog.names(Kind.AUTH_STRATEGY)},
    )
    actions = _compose_actions(config, context, adapters, nodes, applications)
    applications.on_change(_forget_tokens(actions.sessions))
    client_actions = GatewayActions(actions.sessions, registry, actions.rate_limit)
    transports = _compose_transports(config, context, adapters, nodes, client_actions)
    inboxes = {
        name: NodeInbox(broker, transport=name, node=context.node, logger=logger)
        for name in dict.fromkeys((HOME, *transports.gateways))
    }
    inboxes[HOME].on(Outcome, actions.writes.settle)
    inboxes[HOME].on(Acknowledged, nodes.settle)
    for name, gateway in transports.gateways.items():
        gateway.listen(inboxes[name])
    requests = _compose_requests(config, adapters, nodes, applications, actions, transports)
    client_actions.requests = requests
    _narrow_on_change(applications, adapters, transports)
    writer = Writer(
        applications=applications,
        database=adapters.database,
        broker=broker,
        registry=registry,
        nodes=nodes,
        logger=logger,
        event_queues=[worker_queue(name) for name in config.server.workers],
        batch=config.writer.batch,
    )
    transport_manager = TransportManager(
        applications=applications,
        broker=broker,
        registry=registry,
        logger=logger,
        batch=config.transport_manager.batch,
    )
    return Parts(
        adapters=adapters,
        nodes=nodes,
        applications=applications,
        actions=actions,
        requests=requests,
        transports=transports,
        inboxes=inboxes,
        membership=Membership(
            Node(context.node, tuple(config.server.roles), tuple(inboxes)),
            registry=registry,
            applications=applications,
            restore=_restore(transports),
            logger=logger,
        ),
        writer=writer,
        tombstones=TombstoneSweeper(
            adapters.database,
            logger,
            keep=config.writer.tombstone_hours * 3600,
            every=_SWEEP_EVERY,
        ),
        transport_manager=transport_manager,
        workers=_compose_workers(config, context, adapters),
        metrics=_compose_metrics(config, adapters, transports, writer, transport_manager),
    )


def compose_services(
    config: Config,
    parts: Parts,
    *,
    admin_key: str,
    readiness: Callable[[], Awaitable[dict[str, str]]],
) -> Services:
    """What the API is made of. The transports have started: only then have they routes."""
    actions = parts.actions
    return Services(
        applications=parts.applications,
        sessions=actions.sessions,
        users=actions.users,
        devices=actions.devices,
        reads=actions.reads,
        writes=actions.writes,
        requests=parts.requests,
        external_sign_in=actions.external_sign_in,
        limits=config.limits,
        rate_limit=actions.rate_limit,
        api=config.api,
        admin_key=admin_key,
        broker=parts.adapters.broker,
        readiness=readiness,
        metrics=parts.metrics.tell,
        logger=parts.adapters.logger,
        version=__version__,
        http_routes=parts.transports.http_routes,
        websocket_routes=parts.transports.websocket_routes,
        demo_url="/demo/" if config.server.demo else "",
    )


def _compose_actions(
    config: Config,
    context: AdapterContext,
    adapters: Adapters,
    nodes: Nodes,
    applications: Applications,
) -> Actions:
    registry, limits = adapters.registry, config.limits
    passwords = Passwords(
        time_cost=config.auth.time_cost,
        memory_cost=config.auth.memory_cost,
        parallelism=config.auth.parallelism,
    )
    records = UserRecords(adapters.database)
    sessions = Sessions(
        applications=applications,
        users=records,
        registry=registry,
        nodes=nodes,
        refresh_grace=config.auth.refresh_grace,
    )
    devices = Devices(registry)
    users = Users(
        records=records,
        sessions=sessions,
        devices=devices,
        registry=registry,
        passwords=passwords,
        sign_in_attempts=limits.sign_in_attempts,
    )
    strategies: dict[str, AuthStrategy] = {
        name: _create_plugin(config, Kind.AUTH_STRATEGY, name, context)
        for name in config.catalog.names(Kind.AUTH_STRATEGY)
    }
    return Actions(
        sessions=sessions,
        devices=devices,
        users=users,
        reads=Reads(
            applications=applications,
            database=adapters.database,
            max_conditions=limits.filter_conditions,
            max_depth=limits.depth,
        ),
        writes=Writes(
            applications=applications,
            database=adapters.database,
            broker=adapters.broker,
            registry=registry,
            node=context.node,
        ),
        external_sign_in=ExternalSignIn(
            applications=applications, users=users, registry=registry, strategies=strategies
        ),
        rate_limit=RateLimit(limits.requests_per_second),
        passwords=passwords,
        strategies=strategies,
    )


def _compose_transports(
    config: Config,
    context: AdapterContext,
    adapters: Adapters,
    nodes: Nodes,
    client_actions: GatewayActions,
) -> Transports:
    transports, gateways = {}, {}
    if {"gateway", "api"} & set(config.server.roles):
        for name in config.gateway.transports:
            transports[name] = _create_plugin(config, Kind.TRANSPORT, name, context)
            gateways[name] = Gateway(
                _gateway_settings(config),
                transport=name,
                nodes=nodes,
                registry=adapters.registry,
                actions=client_actions,
                logger=adapters.logger,
                may_listen="gateway" in config.server.roles,
            )
    return Transports(transports, gateways)


def _gateway_settings(config: Config) -> GatewaySettings:
    section, limits = config.gateway, config.limits
    return GatewaySettings(
        max_connections=section.max_connections,
        frame=limits.frame,
        depth=limits.depth,
        send_buffer=section.send_buffer,
        register_timeout=section.register_timeout,
        ping_interval=section.ping_interval,
        ping_timeout=section.ping_timeout,
        drain_timeout=config.server.drain_timeout,
        resume_window=section.resume_window,
        resume_grace=section.resume_grace,
        handover_timeout=section.handover_timeout,
        resume_frames=section.resume_frames,
        resume_bytes=section.resume_bytes,
        log_deliveries=section.log_deliveries,
        log_bytes=section.log_bytes,
        frames_queued=section.frames_queued,
    )


def _compose_requests(
    config: Config,
    adapters: Adapters,
    nodes: Nodes,
    applications: Applications,
    actions: Actions,
    transports: Transports,
) -> Requests:
    limits = config.limits
    subscriptions = Subscriptions(
        applications=applications,
        reads=actions.reads,
        registry=adapters.registry,
        nodes=nodes,
        hosts=transports.gateways,
        max_per_device=limits.subscriptions,
        max_conditions=limits.filter_conditions,
        max_depth=limits.depth,
    )
    return Requests(reads=actions.reads, writes=actions.writes, subscriptions=subscriptions)


def _compose_workers(
    config: Config, context: AdapterContext, adapters: Adapters
) -> dict[str, WorkerRunner]:
    runners = {}
    for name in config.server.workers if "workers" in config.server.roles else ():
        worker = _create_plugin(config, Kind.WORKER, name, context)
        if worker.name != name:  # the writers know it by the one, its queue would have the other
            raise ConfigurationError(
                f"server.workers: the plugin's worker {name!r} calls itself {worker.name!r}; "
                "its adapter and its class must have one name"
            )
        runners[name] = WorkerRunner(
            worker,
            broker=adapters.broker,
            logger=adapters.logger,
            node=context.node,
        )
    return runners


def _compose_metrics(
    config: Config,
    adapters: Adapters,
    transports: Transports,
    writer: Writer,
    transport_manager: TransportManager,
) -> Metrics:
    consumed: dict[str, Queue[Any]] = {"writer": WRITER, "transport-manager": TRANSPORT_MANAGER}
    return Metrics(
        writer=writer.figures,
        transport_manager=transport_manager.figures,
        gateways=[gateway.counters for gateway in transports.gateways.values()],
        broker=adapters.broker,
        queues=[queue for role, queue in consumed.items() if role in config.server.roles],
        registry=adapters.registry,
    )


def _narrow_on_change(
    applications: Applications, adapters: Adapters, transports: Transports
) -> None:
    for transport, gateway in transports.gateways.items():
        narrowing = Narrowing(
            database=adapters.database,
            registry=adapters.registry,
            host=gateway,
            transport=transport,
            node=gateway.node,
            logger=adapters.logger,
        )
        applications.on_change(narrowing.application_changed)


def _restore(transports: Transports) -> Callable[[], Awaitable[None]]:
    """Puts back into the registry what it has forgotten of this node's connections."""

    async def restore() -> None:
        for gateway in transports.gateways.values():
            await gateway.restore()

    return restore


def _forget_tokens(sessions: Sessions) -> Listener:
    async def forget(former: Application | None, present: Application | None) -> None:
        changed = former or present
        if changed is not None:
            sessions.forget_tokens(changed.id)

    return forget
