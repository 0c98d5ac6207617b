"""The in-process registry, for the roles of one process."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec

from nexxus.adapters.in_process.registry.claims import InProcessClaims
from nexxus.adapters.in_process.registry.counters import InProcessCounters
from nexxus.adapters.in_process.registry.devices import InProcessDevices
from nexxus.adapters.in_process.registry.expiry import Expiry
from nexxus.adapters.in_process.registry.fates import InProcessFates
from nexxus.adapters.in_process.registry.nodes import InProcessNodes
from nexxus.adapters.in_process.registry.presence import InProcessPresence
from nexxus.adapters.in_process.registry.pushes import InProcessPushes
from nexxus.adapters.in_process.registry.schema import SCHEMA
from nexxus.adapters.in_process.registry.sessions import InProcessSessions
from nexxus.adapters.in_process.registry.subscriptions import InProcessSubscriptions
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.domain.pushes import RESYNC
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import RESYNC_WITHIN, Presence, Registry
from nexxus.observability.figures import gauge
from nexxus.toolkit.sqlite_engine import SqliteEngine

FILE_NAME: Final = "registry.sqlite3"


class RegistryFigures(msgspec.Struct):
    """What the registry holds: in memory, but for the notices."""

    presences: Annotated[int, gauge("Devices that are connected.")]
    subscriptions: Annotated[int, gauge("Subscriptions of all devices.")]
    routes: Annotated[int, gauge("Different filters and scopes that are subscribed to.")]
    cached_sessions: Annotated[int, gauge("Sessions that are held in front of the file.")]
    counters: Annotated[int, gauge("Counters of limits, such as failed sign-ins, that run.")]
    push_notices: Annotated[int, gauge("Notices that wait for devices that are away.")]


class InProcessRegistry(Registry):
    """Presence, volatile subscriptions and counters in memory; the rest in a SQLite file.

    What a method writes to the file survives the death of the process as soon as the method has
    returned. `clock` returns UNIX seconds.
    """

    nodes: InProcessNodes
    devices: InProcessDevices
    sessions: InProcessSessions
    presence: InProcessPresence
    subscriptions: InProcessSubscriptions
    pushes: InProcessPushes
    fates: InProcessFates
    claims: InProcessClaims
    counters: InProcessCounters

    def __init__(
        self,
        settings: InProcessRegistrySettings,
        *,
        data_dir: Path,
        logger: Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine = SqliteEngine(
            data_dir / FILE_NAME, synchronous="NORMAL", schema=SCHEMA
        )
        check_open = engine.check_open
        self._expiry = Expiry(engine, clock, settings.clean_every, logger)
        self.fates = InProcessFates(engine, clock, settings.cached_fates)
        self.claims = InProcessClaims(engine, clock)
        self.counters = InProcessCounters(clock, check_open)
        presences: dict[str, dict[str, Presence]] = {}
        self.pushes = InProcessPushes(engine, clock)
        self.subscriptions = InProcessSubscriptions(engine, presences)
        self.sessions = InProcessSessions(engine, clock, settings.cached_sessions)
        self.devices = InProcessDevices(engine, clock, self.sessions, self.subscriptions)
        self.presence = InProcessPresence(
            presences, self.devices, self.subscriptions, self.pushes, check_open
        )
        self.nodes = InProcessNodes(
            clock, self.presence, self.subscriptions, self.pushes, check_open
        )

    async def open(self) -> None:
        await self._engine.open()
        persistent = await self.subscriptions.load()
        if await self._engine.write(_begin):
            # It is unknown what a killed process was about to push or to send.
            for app_id, device_id in persistent:
                await self.pushes.add(app_id, [device_id], RESYNC, within=RESYNC_WITHIN)
        self._expiry.start()

    async def close(self) -> None:
        with suppress(ServiceUnavailable):
            await self._engine.write(_end)
        await self._expiry.stop()
        await self.sessions.close()
        await self._engine.close()

    async def ping(self) -> None:
        await self._engine.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def clean(self) -> int:
        """Remove expired rows from the file, as happens every `clean_every`. Returns how many."""
        return await self._expiry.clean()

    async def drop(self, app_id: str) -> None:
        self._engine.check_open()
        self.subscriptions.drop(app_id)
        self.presence.drop(app_id)
        self.counters.drop(app_id)
        try:
            await self._expiry.drop(app_id)
        finally:
            # Not earlier: rows that were read while they were being removed must go, too.
            self.sessions.forget(app_id)
            self.fates.forget(app_id)

    async def figures(self) -> RegistryFigures:
        """Return how much the registry holds."""
        return RegistryFigures(
            presences=len(self.presence),
            subscriptions=len(self.subscriptions),
            routes=self.subscriptions.route_count,
            cached_sessions=self.sessions.cached,
            counters=len(self.counters),
            push_notices=await self.pushes.waiting(),
        )


def _begin(connection: sqlite3.Connection) -> bool:
    """Note that a process uses the file. Returns whether another one did not close it."""
    was_killed = connection.execute("SELECT 1 FROM running").fetchone() is not None
    if not was_killed:
        connection.execute("INSERT INTO running (since) VALUES (?)", (time.time(),))
    return was_killed


def _end(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM running")
