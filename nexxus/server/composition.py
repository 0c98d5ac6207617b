"""The composition root: configuration in, finished parts out. Nothing is opened and nothing runs.

Nothing else reads the configuration, and nothing is looked up globally. To see what a Nexxus
process consists of, read `compose` from top to bottom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from nexxus.accounts.accounts import Accounts
from nexxus.accounts.credentials_sign_in import CredentialsSignIn
from nexxus.accounts.devices import Devices
from nexxus.accounts.passwords import Passwords
from nexxus.accounts.provider_accounts import ProviderAccounts
from nexxus.accounts.redirect_sign_in import RedirectSignIn
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.sign_in import SignIn
from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.accounts.strategies import Strategies
from nexxus.accounts.tickets import Tickets
from nexxus.accounts.user_records import UserRecords
from nexxus.accounts.users import Users
from nexxus.api.device_subscriptions import DeviceSubscriptions
from nexxus.api.metrics import HttpMetrics
from nexxus.api.services import Services
from nexxus.api.settings import ApiSettings
from nexxus.applications.applications import Applications, Listener
from nexxus.cluster.away_events import PUSH
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.membership import Membership
from nexxus.cluster.messages import Acknowledged, Outcome, gateway_mailbox, node_mailbox
from nexxus.cluster.peers import Peers
from nexxus.cluster.worker_queues import WorkerQueues
from nexxus.config import AdapterSection, Config
from nexxus.domain.application import Application
from nexxus.gateway import Gateway, GatewaySettings
from nexxus.gateway.client_actions import GatewayActions
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.broker import TRANSPORT_MANAGER, WRITER, Group, worker_group
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.push_service import PushService
from nexxus.interfaces.registry import Node
from nexxus.interfaces.worker import Worker, WorkerContext
from nexxus.objects.narrowing import Narrowing
from nexxus.objects.queries import FilterLimits
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.subscriptions import Subscriptions
from nexxus.objects.writes import Writes
from nexxus.observability.calls import CallFigures, measure_calls
from nexxus.plugins import AdapterKind
from nexxus.push import Expansion, Rerouting, Sender
from nexxus.server.metrics import Metrics, show_waiting
from nexxus.server.parts import Actions, Adapters, Parts, PushParts
from nexxus.server.transports import Transports
from nexxus.toolkit.rate_limit import RateLimit
from nexxus.transport_manager import TransportManager
from nexxus.version import __version__
from nexxus.workers.objects import OwnObjects
from nexxus.workers.runner import WorkerRunner
from nexxus.workers.state import StoredState
from nexxus.writer import TombstoneSweeper, Writer
from nexxus.writer.announcer import Announcer
from nexxus.writer.outbox import Outbox

_SWEEP_EVERY: Final = 300.0
_DATABASE_CALLS: Final = ("load", "commit", "search", "count", "prepare", "drop", "purge")
_BROKER_CALLS: Final = ("publish", "send", "redeliver")


def create_adapter(
    config: Config, kind: AdapterKind, section: AdapterSection, context: AdapterContext
) -> Any:
    """Create the adapter that a section of the configuration names."""
    return config.catalog.create(kind, section.adapter, section.settings, context)


def _create_plugin(config: Config, kind: AdapterKind, name: str, context: AdapterContext) -> Any:
    """Create an adapter whose settings are in ``[plugins.<name>]``."""
    return config.catalog.create(kind, name, config.plugins.get(name), context)


def create_adapters(config: Config, context: AdapterContext, logger: Logger) -> Adapters:
    """Create the adapters of the backing services; calls to the slow ones are measured."""
    database = create_adapter(config, AdapterKind.DATABASE, config.database, context)
    broker = create_adapter(config, AdapterKind.BROKER, config.broker, context)
    for name, service, methods in (
        ("database", database, _DATABASE_CALLS),
        ("broker", broker, _BROKER_CALLS),
    ):
        calls = CallFigures()
        measure_calls(service, methods, calls)
        context.figures.under(name).add(calls)
    return Adapters(
        logger=logger,
        database=database,
        broker=broker,
        registry=create_adapter(config, AdapterKind.REGISTRY, config.registry, context),
    )


def compose(config: Config, context: AdapterContext, adapters: Adapters) -> Parts:
    """Put the parts together. To be called within the event loop that they work in."""
    logger, broker, registry = adapters.logger, adapters.broker, adapters.registry
    peers = Peers(broker, here=context.node)
    strategies = Strategies(
        {
            name: _create_plugin(config, AdapterKind.AUTH_STRATEGY, name, context)
            for name in config.catalog.names(AdapterKind.AUTH_STRATEGY)
        }
    )
    applications = Applications(
        database=adapters.database,
        peers=peers,
        registry=registry,
        strategies=strategies.settings,
    )
    push_services: dict[str, PushService] = {
        name: _create_plugin(config, AdapterKind.PUSH_SERVICE, name, context)
        for name in config.push.services
    }
    actions = _compose_actions(
        config, context, adapters, peers, applications, strategies, push_services
    )
    applications.on_change(_forget_tokens(actions.accounts.sessions))
    transports = _compose_transports(config, context, adapters, peers, applications, actions)
    node_inbox = Inbox(broker, node_mailbox(context.node), logger=logger)
    node_inbox.on(Outcome, actions.writes.settle)
    node_inbox.on(Acknowledged, peers.settle)
    gateway_inboxes = {}
    for name, gateway in transports.gateways.items():
        inbox = Inbox(broker, gateway_mailbox(name, context.node), logger=logger)
        gateway.listen(inbox)
        gateway_inboxes[name] = inbox
    worker_groups = [worker_group(name) for name in config.server.workers]
    can_push = bool(config.push.services)
    groups: list[Group[Any]] = [WRITER, TRANSPORT_MANAGER, *worker_groups]
    # Where events are pushed, the transport manager must miss none of them, either.
    unmissable = list(worker_groups)
    if can_push:
        groups.append(PUSH)
        unmissable.append(TRANSPORT_MANAGER)
    worker_states = {
        name: StoredState(name, adapters.database)
        for name in (config.server.workers if "workers" in config.server.roles else ())
    }
    dead_letters = DeadLetters(adapters.database, broker, groups)
    outbox = None
    if not broker.is_durable:
        outbox = Outbox(adapters.database, broker, unmissable, logger)
    _narrow_on_change(applications, adapters, transports)
    writer = Writer(
        applications=applications,
        database=adapters.database,
        broker=broker,
        registry=registry,
        announcer=Announcer(broker=broker, registry=registry, peers=peers),
        dead_letters=dead_letters,
        outbox=outbox,
        logger=logger,
        batch=config.writer.batch,
        largest_object=config.limits.object,
    )
    transport_manager = TransportManager(
        applications=applications,
        broker=broker,
        registry=registry,
        dead_letters=dead_letters,
        logger=logger,
        batch=config.transport_manager.batch,
        can_push=can_push,
        on_settled=outbox.settle if outbox is not None and can_push else None,
    )
    push = _compose_push(config, adapters, applications, push_services, dead_letters)
    workers = _compose_workers(
        config, context, adapters, actions, worker_states, dead_letters, outbox
    )
    http_metrics = HttpMetrics()
    figures = context.figures
    figures.under("http").add(http_metrics)
    figures.under("sign_in").add(actions.accounts.sign_in.figures)
    figures.under("writer").add(writer.figures)
    figures.under("transport_manager").add(transport_manager.figures)
    if push is not None:
        figures.under("push").add(push.sender.figures)
    for transport, gateway in transports.gateways.items():
        figures.under("gateway").add(gateway.figures, transport=transport)
    for name, worker in workers.items():
        figures.under("worker").add(worker.figures, worker=name)
    figures.read(dead_letters.figures)
    if outbox is not None:
        figures.under("outbox").read(outbox.figures)
    for group in _consumed(config, groups):
        show_waiting(figures, broker, group)
    return Parts(
        adapters=adapters,
        peers=peers,
        applications=applications,
        actions=actions,
        transports=transports,
        groups=groups,
        dead_letters=dead_letters,
        outbox=outbox,
        node_inbox=node_inbox,
        gateway_inboxes=gateway_inboxes,
        membership=Membership(
            Node(context.node, tuple(config.server.roles), tuple(transports.gateways)),
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
        push=push,
        worker_states=list(worker_states.values()),
        workers=workers,
        metrics=Metrics(context.figures, logger),
        http_metrics=http_metrics,
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
        accounts=actions.accounts,
        reads=actions.reads,
        writes=actions.writes,
        requests=actions.requests,
        device_subscriptions=DeviceSubscriptions(
            subscriptions=actions.subscriptions,
            registry=parts.adapters.registry,
            peers=parts.peers,
            hosts={
                name: gateway.reconciliation for name, gateway in parts.transports.gateways.items()
            },
            can_push=bool(config.push.services),
        ),
        settings=ApiSettings(
            body=config.limits.body,
            depth=config.limits.depth,
            cors_origins=config.api.cors_origins,
            trusted_proxies=config.api.trusted_proxies,
            hsts_max_age=config.api.hsts_max_age,
            docs=config.api.docs,
        ),
        rate_limit=actions.rate_limit,
        admin_key=admin_key,
        dead_letters=parts.dead_letters,
        worker_queues=WorkerQueues(parts.adapters.broker, config.server.workers),
        readiness=readiness,
        metrics=parts.metrics.expose,
        http_metrics=parts.http_metrics,
        logger=parts.adapters.logger,
        version=__version__,
        mounted=parts.transports.mounted,
        demo_url="/demo/" if config.server.demo else "",
    )


def _compose_actions(
    config: Config,
    context: AdapterContext,
    adapters: Adapters,
    peers: Peers,
    applications: Applications,
    strategies: Strategies,
    push_services: Mapping[str, PushService],
) -> Actions:
    registry, limits = adapters.registry, config.limits
    filter_limits = FilterLimits(limits.filter_conditions, limits.depth)
    reads = Reads(
        applications=applications, database=adapters.database, filter_limits=filter_limits
    )
    writes = Writes(
        applications=applications,
        database=adapters.database,
        broker=adapters.broker,
        registry=registry,
        node=context.node,
        largest_object=limits.object,
    )
    return Actions(
        accounts=_compose_accounts(
            config, adapters, peers, applications, strategies, push_services
        ),
        reads=reads,
        writes=writes,
        requests=Requests(reads=reads, writes=writes),
        subscriptions=Subscriptions(
            applications=applications,
            reads=reads,
            max_per_device=limits.subscriptions,
            filter_limits=filter_limits,
        ),
        rate_limit=RateLimit(limits.requests_per_second),
    )


def _compose_accounts(
    config: Config,
    adapters: Adapters,
    peers: Peers,
    applications: Applications,
    strategies: Strategies,
    push_services: Mapping[str, PushService],
) -> Accounts:
    registry = adapters.registry
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
        peers=peers,
        refresh_grace=config.auth.refresh_grace,
    )
    devices = Devices(registry, peers, push_services)
    sign_in = SignIn(records=records, sessions=sessions, devices=devices)
    provider_accounts = ProviderAccounts(records, sessions)
    return Accounts(
        users=Users(
            records=records,
            sessions=sessions,
            sign_in=sign_in,
            devices=registry.devices,
            passwords=passwords,
        ),
        sessions=sessions,
        tickets=Tickets(applications=applications, registry=registry),
        devices=devices,
        passwords=passwords,
        strategies=strategies,
        sign_in=sign_in,
        credentials=CredentialsSignIn(
            records=records,
            passwords=passwords,
            attempts=SignInAttempts(registry.counters, config.limits.sign_in_attempts),
            accounts=provider_accounts,
            sign_in=sign_in,
        ),
        redirects=RedirectSignIn(
            applications=applications,
            strategies=strategies,
            records=records,
            accounts=provider_accounts,
            sign_in=sign_in,
            claims=registry.claims,
        ),
    )


def _compose_push(
    config: Config,
    adapters: Adapters,
    applications: Applications,
    push_services: Mapping[str, PushService],
    dead_letters: DeadLetters,
) -> PushParts | None:
    """The part that pushes, in the processes that route events; None where nothing is pushed."""
    if not config.push.services or "transport-manager" not in config.server.roles:
        return None
    applications.on_change(Rerouting(adapters.registry).application_changed)
    return PushParts(
        expansion=Expansion(
            applications=applications,
            broker=adapters.broker,
            registry=adapters.registry,
            database=adapters.database,
            dead_letters=dead_letters,
            logger=adapters.logger,
        ),
        sender=Sender(
            push_services,
            applications=applications,
            registry=adapters.registry,
            logger=adapters.logger,
            retention=config.push.retention,
            expiry=config.push.expiry,
            concurrency=config.push.concurrency,
        ),
    )


def _compose_transports(
    config: Config,
    context: AdapterContext,
    adapters: Adapters,
    peers: Peers,
    applications: Applications,
    actions: Actions,
) -> Transports:
    transports, gateways = {}, {}
    client_actions = GatewayActions(
        sessions=actions.accounts.sessions,
        applications=applications,
        registry=adapters.registry,
        rate_limit=actions.rate_limit,
        requests=actions.requests,
        subscriptions=actions.subscriptions,
    )
    if {"gateway", "api"} & set(config.server.roles):
        for name in config.gateway.transports:
            transports[name] = _create_plugin(config, AdapterKind.TRANSPORT, name, context)
            gateways[name] = Gateway(
                _gateway_settings(config),
                transport=name,
                peers=peers,
                broker=adapters.broker,
                registry=adapters.registry,
                actions=client_actions,
                logger=adapters.logger,
                can_push=bool(config.push.services),
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
        resume_window_max=section.resume_window_max,
        resume_grace=section.resume_grace,
        handover_timeout=section.handover_timeout,
        resume_frames=section.resume_frames,
        resume_bytes=section.resume_bytes,
        log_deliveries=section.log_deliveries,
        log_bytes=section.log_bytes,
        frames_queued=section.frames_queued,
    )


def _compose_workers(
    config: Config,
    context: AdapterContext,
    adapters: Adapters,
    actions: Actions,
    states: Mapping[str, StoredState],
    dead_letters: DeadLetters,
    outbox: Outbox | None,
) -> dict[str, WorkerRunner]:
    runners = {}
    for name in states:
        worker: Worker = _create_plugin(config, AdapterKind.WORKER, name, context)
        worker_context = WorkerContext(
            name=name,
            node=context.node,
            logger=adapters.logger.bind(worker=name),
            objects=OwnObjects(name, reads=actions.reads, writes=actions.writes),
            state=states[name],
        )
        runners[name] = WorkerRunner(
            worker,
            worker_context,
            broker=adapters.broker,
            dead_letters=dead_letters,
            on_settled=None if outbox is None else outbox.settle,
        )
    return runners


def _consumed(config: Config, groups: Sequence[Group[Any]]) -> list[Group[Any]]:
    """The groups that this process is a member of."""
    roles = set(config.server.roles)
    role_of = {
        WRITER.name: "writer",
        TRANSPORT_MANAGER.name: "transport-manager",
        PUSH.name: "transport-manager",
    }
    return [group for group in groups if role_of.get(group.name, "workers") in roles]


def _narrow_on_change(
    applications: Applications, adapters: Adapters, transports: Transports
) -> None:
    for transport, gateway in transports.gateways.items():
        narrowing = Narrowing(
            database=adapters.database,
            registry=adapters.registry,
            host=gateway.narrowed,
            transport=transport,
            node=gateway.node,
            logger=adapters.logger,
        )
        applications.on_change(narrowing.application_changed)


def _restore(transports: Transports) -> Callable[[], Awaitable[None]]:
    """Puts back into the registry what it has forgotten of this node's connections."""

    async def restore() -> None:
        for gateway in transports.gateways.values():
            await gateway.reconciliation.restore()

    return restore


def _forget_tokens(sessions: Sessions) -> Listener:
    async def forget(former: Application | None, present: Application | None) -> None:
        changed = former or present
        if changed is not None:
            sessions.forget_tokens(changed.id)

    return forget
