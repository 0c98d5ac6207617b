"""The in-process registry: what every role of one process must agree on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nexxus.adapters.in_process.registry.claims import Claims
from nexxus.adapters.in_process.registry.counters import Counters
from nexxus.adapters.in_process.registry.devices import Devices
from nexxus.adapters.in_process.registry.expiry import Expiry
from nexxus.adapters.in_process.registry.fates import Fates
from nexxus.adapters.in_process.registry.presence import Nodes, Presences
from nexxus.adapters.in_process.registry.schema import SCHEMA
from nexxus.adapters.in_process.registry.sessions import Sessions
from nexxus.adapters.in_process.registry.subscriptions import Subscriptions
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.domain.channels import Subscription
from nexxus.domain.operations import Fate
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import (
    Device,
    Node,
    Placement,
    Presence,
    Registry,
    RouteChanges,
    RouteState,
    Session,
)
from nexxus.toolkit.sqlite_engine import SqliteEngine

FILE_NAME: Final = "registry.sqlite3"

_STATES_PER_TURN: Final = 5_000
"""How many route states are made before the loop gets its turn."""


class InProcessRegistry(Registry):
    """Presence, subscriptions and counters in memory; the rest in a SQLite file.

    What a method has put into the file survives the death of the process once the method has
    returned. `clock` tells UNIX seconds.
    """

    def __init__(
        self,
        settings: InProcessRegistrySettings,
        *,
        data_dir: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = SqliteEngine(data_dir / FILE_NAME, synchronous="NORMAL", schema=SCHEMA)
        self._devices = Devices(self._engine)
        self._sessions = Sessions(self._engine, clock, settings.cached_sessions)
        self._claims = Claims(self._engine, clock)
        self._fates = Fates(self._engine, clock, settings.cached_fates)
        self._expiry = Expiry(self._engine, clock, settings.clean_every)
        self._counters = Counters(clock)
        self._nodes = Nodes(clock)
        self._presences = Presences()
        self._subscriptions = Subscriptions()
        self._is_open = False

    async def open(self) -> None:
        await self._engine.open()
        self._expiry.start()
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        await self._expiry.stop()
        await self._sessions.close()
        await self._engine.close()

    async def ping(self) -> None:
        await self._engine.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def clean(self) -> int:
        """Remove from the file what is over, as happens every `clean_every`; how many rows."""
        return await self._expiry.clean()

    # Nodes

    async def announce(self, node: Node, lifetime: float) -> bool:
        self._check_open()
        return self._nodes.announce(node, lifetime)

    async def retire(self, node_id: str) -> None:
        self._check_open()
        self._nodes.retire(node_id)
        self._presences.retire(node_id)
        self._subscriptions.retire(node_id)

    async def nodes(self) -> list[Node]:
        self._check_open()
        return self._nodes.alive()

    async def sweep(self) -> list[str]:
        self._check_open()
        dead = self._nodes.dead()
        for node_id in dead:
            await self.retire(node_id)
        return dead

    # Devices

    async def put_device(self, device: Device) -> None:
        await self._devices.put(device)

    async def get_device(self, app_id: str, device_id: str) -> Device | None:
        return await self._devices.get(app_id, device_id)

    async def devices_of(self, app_id: str, user_id: str) -> list[Device]:
        return await self._devices.of(app_id, user_id)

    async def delete_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        await self._sessions.end_of_devices(app_id, device_ids)
        await self._devices.delete(app_id, device_ids)
        self._subscriptions.remove_devices(app_id, device_ids)

    # Sessions

    async def put_session(self, session: Session) -> str | None:
        return await self._sessions.put(session)

    async def get_session(self, app_id: str, session_id: str) -> Session | None:
        self._check_open()
        return await self._sessions.get(app_id, session_id)

    async def rotate_session(self, session: Session, *, expected_generation: int) -> bool:
        return await self._sessions.rotate(session, expected_generation)

    async def end_session(self, app_id: str, session_id: str) -> Session | None:
        return await self._sessions.end(app_id, session_id)

    async def sessions_of(self, app_id: str, user_id: str) -> list[Session]:
        return await self._sessions.of(app_id, user_id)

    # What must be known once

    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        return await self._claims.claim(app_id, scope, key, value, ttl)

    async def release(self, app_id: str, scope: str, key: str) -> None:
        await self._claims.release(app_id, scope, key)

    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        self._check_open()
        return self._counters.hit(app_id, scope, key, window, add)

    async def put_fates(self, fates: Sequence[Fate]) -> None:
        await self._fates.put(fates)

    async def get_fate(self, app_id: str, operation_id: str) -> Fate | None:
        self._check_open()
        return await self._fates.get(app_id, operation_id)

    # Presence

    async def connect(self, presence: Presence) -> Presence | None:
        self._check_open()
        return self._presences.connect(presence)

    async def disconnect(self, presence: Presence) -> None:
        self._check_open()
        if self._presences.disconnect(presence):
            # When a device was seen is worth no failure.
            with suppress(ServiceUnavailable):
                await self._devices.note_seen(presence.app_id, presence.device_id)

    async def presence_of(self, app_id: str, device_id: str) -> Presence | None:
        self._check_open()
        return self._presences.get(app_id, device_id)

    # Subscriptions

    async def subscribe(self, subscription: Subscription, transport: str, node: str) -> None:
        self._check_open()
        self._subscriptions.add(subscription, (transport, node))

    async def unsubscribe(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str] | None = None,
    ) -> None:
        self._check_open()
        self._subscriptions.remove(app_id, device_id, channel_ids, served_by)

    async def placements_of(self, app_id: str, device_id: str) -> list[Placement]:
        self._check_open()
        return self._subscriptions.of(app_id, device_id)

    async def routes_version(self, app_id: str, model: str) -> int:
        self._check_open()
        return self._subscriptions.routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        self._check_open()
        version, complete, entries = self._subscriptions.routes.changes(app_id, model, since)
        states: list[RouteState] = []
        for start in range(0, len(entries), _STATES_PER_TURN):
            if start:
                # A state that changes meanwhile is told newer than `version`, and again later.
                await asyncio.sleep(0)
            states += [entry.state() for entry in entries[start : start + _STATES_PER_TURN]]
        return RouteChanges(version, complete, states)

    async def drop(self, app_id: str) -> None:
        self._check_open()
        self._subscriptions.drop(app_id)
        self._presences.drop(app_id)
        self._counters.drop(app_id)
        try:
            await self._expiry.drop(app_id)
        finally:
            # Only now: what was read while the rows went away is forgotten, too.
            self._sessions.forget(app_id)
            self._fates.forget(app_id)

    async def statistics(self) -> dict[str, Any]:
        return {
            "presences": len(self._presences),
            "subscriptions": len(self._subscriptions),
            "routes": len(self._subscriptions.routes),
            "cached_sessions": self._sessions.cached,
            "counters": len(self._counters),
            "nodes": len(self._nodes.alive()),
        }

    def _check_open(self) -> None:
        if not self._is_open:
            raise ServiceUnavailable("the in-process registry is closed")
