"""The server: the life of a process's parts, from the first that opens to the last that closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import msgspec
from starlette.types import ASGIApp

from nexxus.api.app import build_api, build_gateway_api, build_health_api
from nexxus.applications.applications import Applications
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import ApplicationChanged
from nexxus.config import Config
from nexxus.config.declared import check_applications
from nexxus.config.roles import check_roles
from nexxus.domain.objects import new_id
from nexxus.errors import InvalidParameters, NotStarted, StartupError
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.observability.figures import Figures
from nexxus.observability.process_figures import LoopLag, process_figures
from nexxus.observability.standard_error import StandardErrorLogger
from nexxus.plugins import AdapterKind
from nexxus.server.admin_key import FILE_NAME, load_admin_key, prepare_data_dir
from nexxus.server.backing import Backing
from nexxus.server.composition import (
    compose,
    compose_services,
    create_adapter,
    create_adapters,
)
from nexxus.server.ending import finish_writes
from nexxus.server.parts import Parts
from nexxus.server.role_tasks import RoleTasks
from nexxus.server.transports import Transports
from nexxus.toolkit.tasks import Tasks
from nexxus.version import __version__

_CLOSE_WITHIN: Final = 5.0
"""Seconds that a part has for letting go of what it holds, before the others follow."""


T = TypeVar("T")


class _Apps(NamedTuple):
    """What the process's ports serve."""

    api: ASGIApp
    gateway: ASGIApp
    health: ASGIApp


class Nexxus:
    """A whole server without its ports: ``async with Nexxus(config) as nexxus: …``.

    `app` is the ASGI application: the HTTP API, and the WebSocket at ``/ws``. Entering raises
    `ConfigurationError` if the roles and adapters cannot work together, and `StartupError` if the
    environment prevents a start. The caller must watch `failed`.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config.from_mapping({})
        self.node_id = self.config.server.node or new_id()
        check_roles(self.config)
        check_applications(self.config)
        early = AdapterContext(
            self.node_id, self.config.server.data_dir, StandardErrorLogger(), Figures()
        )
        self.logger: Logger = create_adapter(
            self.config, AdapterKind.LOGGER, self.config.logger, early
        )
        self.context = msgspec.structs.replace(early, logger=self.logger)
        self._lag = LoopLag()
        self._roles = RoleTasks(self.logger)
        self._ends = AsyncExitStack()
        self._stopping = asyncio.Lock()
        self._is_draining = False
        self._drained: asyncio.Task[None] | None = None
        self._backing: Backing | None = None
        self._parts: Parts | None = None
        self._admin_key: str | None = None
        self._apps: _Apps | None = None

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
        try:
            await self._open()
            await self._run()
        except BaseException:
            await self.stop()
            raise

    async def drain(self) -> None:
        """Say that the server goes: close the connections with 1001, accept no more.

        May be called again; that returns when the first has come to its end.
        """
        self._is_draining = True
        if self._parts is None:
            return
        if self._drained is None:
            self._drained = asyncio.create_task(self._parts.transports.drain())
        await asyncio.shield(self._drained)

    async def stop(self) -> None:
        """Finish what was accepted, then close everything. Errors are logged.

        May be called again, and without a start.
        """
        async with self._stopping:
            await self._ends.aclose()

    async def failed(self) -> None:
        """Return when a role has ended that should have run for ever; its error is logged."""
        await self._roles.failed()

    async def _open(self) -> None:
        """Open the backing services, and put together what works with them."""
        config = self.config
        prepare_data_dir(config.server.data_dir)
        await self.logger.open()
        self._ends.push_async_callback(self.logger.close)
        adapters = create_adapters(config, self.context, self.logger)
        self._backing = Backing(
            {
                "database": adapters.database,
                "registry": adapters.registry,
                "broker": adapters.broker,
            },
            self.logger,
        )
        self._ends.push_async_callback(self._backing.close)
        await self._backing.open(within=config.server.startup_timeout)
        parts = self._parts = compose(config, self.context, adapters)
        self._ends.callback(parts.actions.accounts.passwords.close)
        for name, strategy in parts.actions.accounts.strategies.installed.items():
            self._at_the_end(f"sign-in {name}", strategy.close)
        self._admin_key = self._find_admin_key()

    async def _run(self) -> None:
        """Start what runs, in the order in which it needs one another; it ends in reverse."""
        parts, backing = self.parts, _started(self._backing)
        self._lag.start()
        self._ends.callback(self._lag.stop)
        self.context.figures.read(lambda: process_figures(__version__, self._lag))
        await backing.wait_for("database", parts.applications.load)
        errands = Tasks(asyncio.get_running_loop(), self.logger)
        self._ends.push_async_callback(errands.cancel)
        self._follow_applications(parts, errands)
        await backing.wait_for("database", self._make_room)
        for group in parts.groups:
            await backing.wait_for("broker", partial(parts.adapters.broker.declare, group))
        inboxes: dict[str, Inbox[Any]] = {"node": parts.node_inbox, **parts.gateway_inboxes}
        for name, inbox in inboxes.items():
            await backing.wait_for("broker", inbox.open)
            self._roles.start(f"inbox {name}", inbox.run())
            self._ends.push_async_callback(self._end_roles, f"inbox {name}")
        # Other nodes are notified of what changes, and their answers come through the inbox.
        await backing.wait_for("database", self._declare_applications)
        await backing.wait_for("registry", parts.membership.join)
        self._at_the_end("membership", parts.membership.leave)
        self._roles.start("membership", parts.membership.run())
        self._ends.push_async_callback(self._end_roles, "membership")
        self._ends.push_async_callback(
            finish_writes,
            parts,
            self._roles,
            within=self.config.server.drain_timeout,
        )
        self._start_roles(parts)
        self._at_the_end("transports", parts.transports.stop)
        self._at_the_end("connections", self.drain, within=None)
        await parts.transports.start()
        services = compose_services(
            self.config, parts, admin_key=self.admin_key, readiness=self.problems
        )
        api = build_api(services)
        if self.config.server.demo:
            api = _with_demo(api)
        self._apps = _Apps(api, build_gateway_api(services), build_health_api(services))

    def _start_roles(self, parts: Parts) -> None:
        roles = self.config.server.roles
        if "writer" in roles:
            self._roles.start("writer", parts.writer.run())
            self._roles.start("tombstones", parts.tombstones.run())
            if parts.outbox is not None:
                self._roles.start("outbox", parts.outbox.run())
        if "transport-manager" in roles:
            self._roles.start("transport-manager", parts.transport_manager.run())
        if parts.push is not None:
            self._roles.start("push expansion", parts.push.expansion.run())
            self._roles.start("push sender", parts.push.sender.run())
        for name, worker in parts.workers.items():
            self._roles.start(f"worker {name}", worker.run())

    # Its end

    async def _end_roles(self, *names: str) -> None:
        await self._roles.end(*names, within=_CLOSE_WITHIN)

    def _at_the_end(
        self,
        name: str,
        close: Callable[[], Awaitable[None]],
        *,
        within: float | None = _CLOSE_WITHIN,
    ) -> None:
        """Close a part when the server stops; that it fails, or hangs, keeps no other."""
        self._ends.push_async_callback(self._close, name, close, within)

    async def _close(
        self, name: str, close: Callable[[], Awaitable[None]], within: float | None
    ) -> None:
        try:
            async with asyncio.timeout(within):
                await close()
        except Exception as error:  # a plugin may raise anything, and the others are to be closed
            self.logger.error("closing failed", part=name, error=error)

    # What it is made of

    @property
    def parts(self) -> Parts:
        """Everything that it is made of, once it has started."""
        return _started(self._parts)

    @property
    def app(self) -> ASGIApp:
        """The HTTP API, and the WebSocket at ``/ws``, once it has started."""
        return _started(self._apps).api

    @property
    def gateway_app(self) -> ASGIApp:
        """What the gateway's own port serves, once it has started."""
        return _started(self._apps).gateway

    @property
    def health_app(self) -> ASGIApp:
        """The health routes alone, once it has started."""
        return _started(self._apps).health

    @property
    def admin_key(self) -> str:
        """The key for ``/admin/*``, once it has started."""
        return _started(self._admin_key)

    @property
    def applications(self) -> Applications:
        """The applications that this node knows."""
        return self.parts.applications

    @property
    def transports(self) -> Transports:
        """How devices are connected here."""
        return self.parts.transports

    @property
    def database(self) -> Database:
        """The database."""
        return self.parts.adapters.database

    @property
    def broker(self) -> Broker:
        """The broker."""
        return self.parts.adapters.broker

    @property
    def registry(self) -> Registry:
        """The registry."""
        return self.parts.adapters.registry

    # What it tells about itself

    async def problems(self) -> dict[str, str]:
        """What keeps the server from being ready, by the name of the part."""
        problems = {} if self._backing is None else await self._backing.problems()
        if self._is_draining:
            problems["server"] = "is stopping"
        return problems

    # Small duties

    def _find_admin_key(self) -> str:
        if self.config.admin.key:
            return self.config.admin.key
        data_dir = self.config.server.data_dir
        key = load_admin_key(data_dir)
        path = str((data_dir / FILE_NAME).absolute())
        self.logger.info("the admin key is kept in a file", path=path)
        return key

    async def _make_room(self) -> None:
        """Prepare the database for what Nexxus itself stores."""
        await self.parts.dead_letters.open()
        if self.parts.outbox is not None:
            await self.parts.outbox.open()
        for state in self.parts.worker_states:
            await state.open()

    async def _declare_applications(self) -> None:
        """Put the configuration file's applications in force."""
        for document in self.config.applications:
            try:
                await self.applications.declare(document)
            except InvalidParameters as error:
                where = f"{self.config.origins['applications']}: [[applications]] {document['id']}"
                raise StartupError(f"{where}: {error.message}") from error

    def _follow_applications(self, parts: Parts, errands: Tasks) -> None:
        """Take over what other nodes make of applications, and say so when it is in force."""

        async def take_over(changed: ApplicationChanged) -> None:
            await parts.applications.take_over(changed.app_id)
            await parts.peers.acknowledge(changed.reply_to)

        def on_change(changed: ApplicationChanged) -> None:
            errands.start(take_over(changed))

        parts.node_inbox.on(ApplicationChanged, on_change)


def _started(part: T | None) -> T:
    if part is None:
        raise NotStarted(
            "this Nexxus has not started: use it within `async with Nexxus(config) as nexxus`, "
            "or call `start` before"
        )
    return part


def _with_demo(api: ASGIApp) -> ASGIApp:
    """The API with the example pages beside it, under ``/demo/``."""
    from starlette.routing import Mount, Router

    from nexxus.demo.site import site

    return Router([Mount("/demo", site())], default=api)
