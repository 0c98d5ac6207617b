"""The Redis registry: what every node must agree on, in a Redis that they share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from nexxus.adapters.redis.claims import Claims
from nexxus.adapters.redis.counters import Counters
from nexxus.adapters.redis.devices import Devices
from nexxus.adapters.redis.fates import Fates
from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Facts, Link
from nexxus.adapters.redis.nodes import Nodes
from nexxus.adapters.redis.presence import Presences
from nexxus.adapters.redis.routes import Routes
from nexxus.adapters.redis.sessions import Sessions
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.adapters.redis.subscriptions import Subscriptions
from nexxus.domain.channels import Subscription
from nexxus.domain.operations import Fate
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.registry import (
    Device,
    Node,
    Placement,
    Presence,
    Registry,
    RouteChanges,
    Session,
)

_OLDEST: Final = 7
_RETIRED_AT_ONCE: Final = 200

_LOGGER: Final = logging.getLogger(__name__)


class RedisRegistry(Registry):
    """Everything in Redis, a single server or a cluster; nothing in memory.

    What survives the death of Redis is up to Redis: see ``appendfsync`` there. When it comes back
    with less than it had, `announce` says so, and each node puts back what is its own.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._link = link = Link(settings)
        self._keys = keys = Keys(settings.prefix)
        self._nodes = Nodes(link, keys)
        self._devices = Devices(link, keys)
        self._sessions = Sessions(link, keys)
        self._claims = Claims(link, keys)
        self._counters = Counters(link, keys)
        self._fates = Fates(link, keys)
        self._presences = Presences(link, keys)
        self._subscriptions = Subscriptions(link, keys)
        self._routes = Routes(link, keys)

    async def open(self) -> None:
        for facts in await self._link.open():
            try:
                _check(facts, is_cluster=self._link.is_cluster)
            except StartupError:
                await self._link.close()
                raise

    async def close(self) -> None:
        await self._link.close()

    async def ping(self) -> None:
        # Not PING: that says nothing of a cluster whose slots are not served.
        await self._nodes.alive()

    # Nodes

    async def announce(self, node: Node, lifetime: float) -> bool:
        return await self._nodes.announce(node, lifetime)

    async def retire(self, node_id: str) -> None:
        await self._nodes.leave(node_id)
        await self._clear_up_after(node_id)

    async def nodes(self) -> list[Node]:
        return await self._nodes.alive()

    async def sweep(self) -> list[str]:
        swept = []
        while (dead := await self._nodes.take_dead()) is not None:
            if await self._clear_up_after(dead):
                swept.append(dead)
        return swept

    async def _clear_up_after(self, node_id: str) -> bool:
        """Remove what a node held, in small steps; whether that was us, and to the end.

        Each step takes from the node's lists what it has removed. Should we die, whoever takes
        the node over goes on where we were.
        """
        while await self._presences.retire_some(node_id, _RETIRED_AT_ONCE):
            if not await self._nodes.hold(node_id):
                return False
        while await self._subscriptions.retire_some(node_id):
            if not await self._nodes.hold(node_id):
                return False
        return await self._nodes.finish(node_id)

    # Devices

    async def put_device(self, device: Device) -> None:
        await self._devices.put(device)

    async def get_device(self, app_id: str, device_id: str) -> Device | None:
        return await self._devices.get(app_id, device_id)

    async def devices_of(self, app_id: str, user_id: str) -> list[Device]:
        return await self._devices.of(app_id, user_id)

    async def delete_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        # The devices themselves last: what is cut off half-way can be asked for again.
        await self._sessions.end_of_devices(app_id, device_ids)
        await self._subscriptions.remove_devices(app_id, device_ids)
        await self._devices.delete(app_id, device_ids)

    # Sessions

    async def put_session(self, session: Session) -> str | None:
        return await self._sessions.put(session)

    async def get_session(self, app_id: str, session_id: str) -> Session | None:
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
        return await self._counters.hit(app_id, scope, key, window, add)

    async def put_fates(self, fates: Sequence[Fate]) -> None:
        await self._fates.put(fates)

    async def get_fate(self, app_id: str, operation_id: str) -> Fate | None:
        return await self._fates.get(app_id, operation_id)

    # Presence

    async def connect(self, presence: Presence) -> Presence | None:
        return await self._presences.connect(presence)

    async def disconnect(self, presence: Presence) -> None:
        if await self._presences.disconnect(presence):
            # When a device was seen is worth no failure.
            with suppress(ServiceUnavailable):
                await self._devices.note_seen(presence.app_id, presence.device_id)

    async def presence_of(self, app_id: str, device_id: str) -> Presence | None:
        return await self._presences.get(app_id, device_id)

    # Subscriptions

    async def subscribe(self, subscription: Subscription, transport: str, node: str) -> None:
        await self._subscriptions.add(subscription, transport, node)

    async def unsubscribe(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str] | None = None,
    ) -> None:
        await self._subscriptions.remove(app_id, device_id, channel_ids, served_by)

    async def placements_of(self, app_id: str, device_id: str) -> list[Placement]:
        return await self._subscriptions.of(app_id, device_id)

    async def routes_version(self, app_id: str, model: str) -> int:
        return await self._routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        return await self._routes.changes(app_id, model, since)

    async def drop(self, app_id: str) -> None:
        models: set[str] = set()
        async for names in self._link.scan(self._keys.pattern_of(app_id)):
            models |= {model for name in names if (model := self._keys.model_of(name)) is not None}
            kept = tuple(f"{model}{part}" for model in models for part in (":version", ":floor"))
            await self._link.batch([("UNLINK", name) for name in names if name not in kept])
        # Last: who sees the new version finds no route any more.
        for model in models:
            await self._routes.clear(model)

    async def statistics(self) -> dict[str, Any]:
        facts = await self._link.facts()
        return {
            "nodes": len(await self._nodes.alive()),
            "redis_servers": len(facts),
            "redis_used_memory_bytes": sum(each["used_memory"] for each in facts),
            "redis_max_memory_bytes": sum(each["maxmemory"] for each in facts),
        }


def _check(facts: Facts, *, is_cluster: bool) -> None:
    """Refuse a Redis that cannot be used, and warn of one that loses what it was given."""
    version = str(facts["redis_version"])
    if int(version.partition(".")[0]) < _OLDEST:
        raise StartupError(f"Redis {version} is too old for the registry; it needs {_OLDEST}.0")
    if (facts["redis_mode"] == "cluster") is not is_cluster:
        raise StartupError("Redis is a cluster: set registry.cluster = true")
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        _LOGGER.warning(
            "Redis evicts keys when memory is short (maxmemory-policy %s): sessions and "
            "subscriptions would vanish; set noeviction",
            facts["maxmemory_policy"],
        )
    if not facts.get("aof_enabled"):
        _LOGGER.warning(
            "Redis keeps no append-only file: when it restarts, sessions and idempotency keys are "
            "lost; set appendonly yes"
        )
