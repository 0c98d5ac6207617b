"""The composition root: configuration in, running roles out.

Nothing else reads the configuration, and nothing is looked up globally: whoever wants to know
what a Nexxus process is made of reads `Nexxus` from top to bottom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp

from nexxus.actions.applications import Applications
from nexxus.actions.devices import Devices
from nexxus.actions.external_sign_in import ExternalSignIn
from nexxus.actions.narrowing import Narrowing
from nexxus.actions.passwords import Passwords
from nexxus.actions.rate_limit import RateLimit
from nexxus.actions.reads import Reads
from nexxus.actions.requests import Requests
from nexxus.actions.sessions import Sessions
from nexxus.actions.subscriptions import Subscriptions
from nexxus.actions.user_records import UserRecords
from nexxus.actions.users import LOCAL, Users
from nexxus.actions.writes import Writes
from nexxus.admin_key import FILE_NAME, load_admin_key, prepare_data_dir
from nexxus.api.app import build_api, build_health_api
from nexxus.api.services import Services
from nexxus.backing import Backing
from nexxus.client_actions import GatewayActions
from nexxus.config import AdapterSection, Config
from nexxus.config.declared import check_applications
from nexxus.domain.application import Application
from nexxus.domain.events import Acknowledged, ApplicationChanged, Outcome
from nexxus.domain.objects import new_id
from nexxus.errors import ApplicationAlreadyExists, ConfigurationError
from nexxus.gateway import Gateway, GatewaySettings
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.auth_strategy import AuthStrategy
from nexxus.interfaces.broker import TRANSPORT_MANAGER, WRITER, Broker, Queue, worker_queue
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Node, Registry
from nexxus.interfaces.transport import Transport
from nexxus.membership import Membership
from nexxus.metrics import Metrics
from nexxus.node import NodeInbox
from nexxus.nodes import Nodes
from nexxus.plugins import Kind
from nexxus.tasks import Tasks
from nexxus.transport_manager import TransportManager
from nexxus.transports import Transports
from nexxus.version import __version__
from nexxus.workers import WorkerRunner
from nexxus.writer import TombstoneSweeper, Writer

HOME = "websockets"
"""The transport whose queue also carries what is for the node itself: every node consumes it."""

_SWEEP_EVERY = 300.0


class Nexxus:
    """A whole server without its ports: ``async with Nexxus(config) as nexxus: …``.

    `app` is the ASGI application: the HTTP API, and the WebSocket at ``/ws``. Entering raises
    `ConfigurationError` when the roles and adapters cannot work together, and `StartupError`
    when they cannot here and now.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config.from_mapping({})
        self.node_id = self.config.server.node or new_id()
        self._context = AdapterContext(self.node_id, self.config.server.data_dir)
        self._check_roles()
        check_applications(self.config)
        self.logger: Logger = self._create(Kind.LOGGER, self.config.logger)
        self._tasks: list[asyncio.Task[None]] = []
        self._failed = asyncio.Event()
        self._is_draining = False

    # The life of a server

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open what is needed, then run the roles; on return everything is served."""
        prepare_data_dir(self.config.server.data_dir)
        await self.logger.open()
        self._errands = Tasks(asyncio.get_running_loop(), self.logger)
        self.database: Database = self._create(Kind.DATABASE, self.config.database)
        self.broker: Broker = self._create(Kind.BROKER, self.config.broker)
        self.registry: Registry = self._create(Kind.REGISTRY, self.config.registry)
        self._backing = Backing(
            {"database": self.database, "registry": self.registry, "broker": self.broker},
            self.logger,
        )
        try:
            await self._backing.open(within=self.config.server.startup_timeout)
            await self._compose()
        except BaseException:
            await self._end_tasks()
            await self._close()
            raise

    async def drain(self) -> None:
        """Say that the server goes: close the connections with 1001, accept no more."""
        self._is_draining = True
        await self.transports.drain()

    async def stop(self) -> None:
        """Finish what was accepted, then close everything."""
        await self.drain()
        await self.transports.stop()
        await self.membership.leave()
        await self._end_tasks()
        await self._close()

    async def failed(self) -> None:
        """Return when a role has ended that should have run for ever; its error is logged."""
        await self._failed.wait()

    async def _end_tasks(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._errands.cancel()

    async def _close(self) -> None:
        if hasattr(self, "transports"):
            await self.transports.stop()
        if hasattr(self, "passwords"):
            self.passwords.close()
            for strategy in self._strategies.values():
                await strategy.close()
        await self._backing.close()
        await self.logger.close()

    # What it is made of

    async def _compose(self) -> None:
        config, roles = self.config, self.config.server.roles
        self.admin_key = config.admin.key
        if not self.admin_key:
            self.admin_key = load_admin_key(config.server.data_dir)
            path = str((config.server.data_dir / FILE_NAME).absolute())
            self.logger.info("the admin key is kept in a file", path=path)
        nodes = self._nodes = Nodes(self.broker, here=self.node_id, home=HOME)
        self.applications = Applications(
            database=self.database,
            nodes=nodes,
            registry=self.registry,
            strategies={LOCAL, *config.catalog.names(Kind.AUTH_STRATEGY)},
        )
        self._rate_limit = RateLimit(config.limits.requests_per_second)
        self._compose_actions()
        self.transports = self._compose_transports()
        gateways = self.transports.gateways
        inboxes = {
            name: NodeInbox(self.broker, transport=name, node=self.node_id, logger=self.logger)
            for name in dict.fromkeys((HOME, *gateways))
        }
        self.inbox = inboxes[HOME]
        self.inbox.on(Outcome, self.writes.settle)
        self.inbox.on(Acknowledged, nodes.settle)
        self.inbox.on(ApplicationChanged, self._application_changed)
        self._compose_subscriptions()
        await self._backing.wait_for("database", self.applications.load)
        await self._backing.wait_for("database", self._declare_applications)

        self.membership = Membership(
            Node(self.node_id, tuple(roles), tuple(inboxes)),
            registry=self.registry,
            applications=self.applications,
            restore=self._restore,
            logger=self.logger,
        )
        for inbox in inboxes.values():
            await self._backing.wait_for("broker", inbox.open)
        await self._backing.wait_for("registry", self.membership.join)
        self._run("membership", self.membership.run())
        for name, inbox in inboxes.items():
            if name in gateways:
                gateways[name].listen(inbox)
            self._run(f"inbox {name}", inbox.run())
        self._compose_writer("writer" in roles)
        self._compose_transport_manager("transport-manager" in roles)
        if "workers" in roles:
            self._compose_workers()
        await self.transports.start()
        services = self._compose_services()
        self.health_app: ASGIApp = build_health_api(services)
        self.app: ASGIApp = build_api(services)
        if config.server.demo:
            self.app = _with_demo(self.app)

    async def _restore(self) -> None:
        """Put back into the registry what it has forgotten of this node's connections."""
        for gateway in self.transports.gateways.values():
            await gateway.restore()

    def _compose_actions(self) -> None:
        config, limits = self.config, self.config.limits
        self.passwords = Passwords(
            time_cost=config.auth.time_cost,
            memory_cost=config.auth.memory_cost,
            parallelism=config.auth.parallelism,
        )
        records = UserRecords(self.database)
        self.sessions = Sessions(
            applications=self.applications,
            users=records,
            registry=self.registry,
            nodes=self._nodes,
            refresh_grace=config.auth.refresh_grace,
        )
        self.devices = Devices(self.registry)
        self.users = Users(
            records=records,
            sessions=self.sessions,
            devices=self.devices,
            registry=self.registry,
            passwords=self.passwords,
            sign_in_attempts=limits.sign_in_attempts,
        )
        self.reads = Reads(
            applications=self.applications,
            database=self.database,
            max_conditions=limits.filter_conditions,
            max_depth=limits.depth,
        )
        self._strategies: dict[str, AuthStrategy] = {
            offer.adapter.name: offer.adapter.create(
                config.plugins.get(offer.adapter.name), self._context
            )
            for offer in config.catalog.offers(Kind.AUTH_STRATEGY)
        }
        self.writes = Writes(
            applications=self.applications,
            database=self.database,
            broker=self.broker,
            registry=self.registry,
            node=self.node_id,
        )
        self.applications.on_change(self._forget_tokens)

    def _compose_transports(self) -> Transports:
        self._client_actions = GatewayActions(self.sessions, self.registry, self._rate_limit)
        transports: dict[str, Transport] = {}
        if {"gateway", "api"} & set(self.config.server.roles):
            for name in self.config.gateway.transports:
                adapter = self.config.catalog.get(Kind.TRANSPORT, name)
                assert adapter is not None, "the configuration was checked"
                settings = self.config.plugins.get(name)
                transports[name] = adapter.create(settings, self._context)
        return Transports(transports, {name: self._compose_gateway(name) for name in transports})

    def _compose_gateway(self, transport: str) -> Gateway:
        section, limits = self.config.gateway, self.config.limits
        return Gateway(
            GatewaySettings(
                max_connections=section.max_connections,
                frame=limits.frame,
                depth=limits.depth,
                send_buffer=section.send_buffer,
                register_timeout=section.register_timeout,
                ping_interval=section.ping_interval,
                ping_timeout=section.ping_timeout,
                drain_timeout=self.config.server.drain_timeout,
                resume_window=section.resume_window,
                resume_grace=section.resume_grace,
                handover_timeout=section.handover_timeout,
                resume_frames=section.resume_frames,
                resume_bytes=section.resume_bytes,
                log_deliveries=section.log_deliveries,
                log_bytes=section.log_bytes,
                frames_queued=section.frames_queued,
            ),
            transport=transport,
            nodes=self._nodes,
            registry=self.registry,
            actions=self._client_actions,
            logger=self.logger,
            may_listen="gateway" in self.config.server.roles,
        )

    def _compose_subscriptions(self) -> None:
        limits = self.config.limits
        subscriptions = Subscriptions(
            applications=self.applications,
            reads=self.reads,
            registry=self.registry,
            nodes=self._nodes,
            hosts=self.transports.gateways,
            max_per_device=limits.subscriptions,
            max_conditions=limits.filter_conditions,
            max_depth=limits.depth,
        )
        self.requests = Requests(reads=self.reads, writes=self.writes, subscriptions=subscriptions)
        self._client_actions.requests = self.requests
        for transport, gateway in self.transports.gateways.items():
            narrowing = Narrowing(
                database=self.database,
                registry=self.registry,
                host=gateway,
                transport=transport,
                node=self.node_id,
                logger=self.logger,
            )
            self.applications.on_change(narrowing.application_changed)

    def _compose_writer(self, runs_here: bool) -> None:
        self.writer = Writer(
            applications=self.applications,
            database=self.database,
            broker=self.broker,
            registry=self.registry,
            nodes=self._nodes,
            logger=self.logger,
            event_queues=[worker_queue(name) for name in self.config.server.workers],
            batch=self.config.writer.batch,
        )
        if runs_here:
            sweeper = TombstoneSweeper(
                self.database,
                self.logger,
                keep=self.config.writer.tombstone_hours * 3600,
                every=_SWEEP_EVERY,
            )
            self._run("writer", self.writer.run())
            self._run("tombstones", sweeper.run())

    def _compose_transport_manager(self, runs_here: bool) -> None:
        self.transport_manager = TransportManager(
            applications=self.applications,
            broker=self.broker,
            registry=self.registry,
            logger=self.logger,
            batch=self.config.transport_manager.batch,
        )
        if runs_here:
            self._run("transport-manager", self.transport_manager.run())

    def _compose_workers(self) -> None:
        for name in self.config.server.workers:
            adapter = self.config.catalog.get(Kind.WORKER, name)
            assert adapter is not None, "the configuration was checked"
            worker = adapter.create(self.config.plugins.get(name), self._context)
            runner = WorkerRunner(worker, broker=self.broker, logger=self.logger, node=self.node_id)
            self._run(f"worker {name}", runner.run())

    def _compose_services(self) -> Services:
        return Services(
            applications=self.applications,
            sessions=self.sessions,
            users=self.users,
            devices=self.devices,
            reads=self.reads,
            writes=self.writes,
            requests=self.requests,
            external_sign_in=ExternalSignIn(
                applications=self.applications,
                users=self.users,
                registry=self.registry,
                strategies=self._strategies,
            ),
            limits=self.config.limits,
            rate_limit=self._rate_limit,
            api=self.config.api,
            admin_key=self.admin_key,
            broker=self.broker,
            readiness=self.problems,
            metrics=self._compose_metrics().tell,
            logger=self.logger,
            version=__version__,
            http_routes=self.transports.http_routes,
            websocket_routes=self.transports.websocket_routes,
            demo_url="/demo/" if self.config.server.demo else "",
        )

    def _compose_metrics(self) -> Metrics:
        consumed: dict[str, Queue[Any]] = {
            "writer": WRITER,
            "transport-manager": TRANSPORT_MANAGER,
        }
        return Metrics(
            writer=self.writer.figures,
            transport_manager=self.transport_manager.figures,
            gateways=[gateway.counters for gateway in self.transports.gateways.values()],
            broker=self.broker,
            queues=[queue for role, queue in consumed.items() if role in self.config.server.roles],
            registry=self.registry,
        )

    # What it tells about itself

    async def problems(self) -> dict[str, str]:
        """What keeps the server from being ready, by the name of the part."""
        problems = await self._backing.problems()
        if self._is_draining:
            problems["server"] = "is stopping"
        return problems

    # Small duties

    def _check_roles(self) -> None:
        config = self.config
        needed = {"api", "writer", "transport-manager", "gateway"}
        missing = needed - set(config.server.roles)
        alone = [
            f"{section} = {adapter.adapter!r}"
            for section, adapter in (
                ("broker.adapter", config.broker),
                ("registry.adapter", config.registry),
            )
            if adapter.adapter == "in-process"
        ]
        # A node of custom workers has no objects of its own.
        if config.database.adapter == "sqlite" and needed & set(config.server.roles):
            alone.append("database.adapter = 'sqlite'")
        if missing and alone:
            raise ConfigurationError(
                f"server.roles leaves out {', '.join(sorted(missing))}, which must run in this "
                f"process with {' and '.join(alone)}; run all roles, or choose adapters that "
                "connect processes"
            )

    def _create(self, kind: Kind, section: AdapterSection) -> Any:
        adapter = self.config.catalog.get(kind, section.adapter)
        assert adapter is not None, "the configuration was checked"
        return adapter.create(section.settings, self._context)

    async def _declare_applications(self) -> None:
        """Put the configuration file's applications in force."""
        for document in self.config.applications:
            try:
                await self.applications.create(document)
            except ApplicationAlreadyExists:
                await self.applications.replace(document["id"], document)

    def _run(self, name: str, role: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(role, name=f"nexxus {name}")
        task.add_done_callback(self._role_ended)
        self._tasks.append(task)

    def _role_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self.logger.error("a role has ended", role=task.get_name(), error=task.exception())
        self._failed.set()

    def _application_changed(self, changed: ApplicationChanged) -> None:
        self._errands.start(self._take_over(changed))

    async def _take_over(self, changed: ApplicationChanged) -> None:
        await self.applications.take_over(changed.app_id)
        await self._nodes.acknowledge(changed.reply_to)

    async def _forget_tokens(self, former: Application | None, present: Application | None) -> None:
        changed = former or present
        if changed is not None:
            self.sessions.forget_tokens(changed.id)


def _with_demo(api: ASGIApp) -> ASGIApp:
    """The API with the example pages beside it, under ``/demo/``."""
    from starlette.routing import Mount, Router

    from nexxus.demo.site import site

    return Router([Mount("/demo", site())], default=api)
