"""The Redis registry, for nodes that share a Redis."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nexxus.adapters.redis.claims import RedisClaims
from nexxus.adapters.redis.counters import RedisCounters
from nexxus.adapters.redis.devices import RedisDevices
from nexxus.adapters.redis.fates import RedisFates
from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Facts, RedisLink
from nexxus.adapters.redis.nodes import RedisNodes
from nexxus.adapters.redis.presence import RedisPresence
from nexxus.adapters.redis.pushes import RedisPushes
from nexxus.adapters.redis.sessions import RedisSessions
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.adapters.redis.subscriptions import RedisSubscriptions
from nexxus.errors import StartupError
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.observability.figures import gauge

_OLDEST: Final = 7


class RedisFigures(msgspec.Struct):
    """What is measured of Redis, all servers together."""

    push_scheduled: Annotated[int, gauge("Devices that are away and are to be pushed to.")]
    servers: Annotated[int, gauge("Servers that hold data.")]
    used_memory_bytes: Annotated[int, gauge("Memory that Redis uses.")]
    max_memory_bytes: Annotated[int, gauge("Memory that Redis may use; 0 for no limit.")]


class RedisRegistry(Registry):
    """Everything is in Redis, a single server or a cluster; nothing is cached.

    What survives the death of Redis depends on its own setting ``appendfsync``. When it comes back
    with less than it had, `NodeStore.announce` reports that, and each node restores its own part.
    """

    nodes: RedisNodes
    devices: RedisDevices
    sessions: RedisSessions
    presence: RedisPresence
    subscriptions: RedisSubscriptions
    pushes: RedisPushes
    fates: RedisFates
    claims: RedisClaims
    counters: RedisCounters

    def __init__(self, settings: RedisSettings, *, logger: Logger) -> None:
        self._logger = logger
        self._link = link = RedisLink(settings)
        self._keys = keys = Keys(settings.prefix)
        self.fates = RedisFates(link, keys)
        self.claims = RedisClaims(link, keys)
        self.counters = RedisCounters(link, keys)
        self.pushes = RedisPushes(link, keys)
        self.subscriptions = RedisSubscriptions(link, keys)
        self.sessions = RedisSessions(link, keys)
        self.devices = RedisDevices(link, keys, self.sessions, self.subscriptions)
        self.presence = RedisPresence(link, keys, self.devices, self.subscriptions, self.pushes)
        self.nodes = RedisNodes(link, keys, self.presence, self.subscriptions, self.pushes)

    async def open(self) -> None:
        for facts in await self._link.open():
            try:
                check(facts, is_cluster=self._link.is_cluster, logger=self._logger)
            except StartupError:
                await self._link.close()
                raise

    async def close(self) -> None:
        await self._link.close()

    async def ping(self) -> None:
        # Not PING, which succeeds on a cluster whose slots are not served.
        await self.nodes.alive()

    async def drop(self, app_id: str) -> None:
        await self.pushes.drop(app_id)
        models: set[str] = set()
        async for names in self._link.scan(self._keys.pattern_of(app_id)):
            models |= {model for name in names if (model := self._keys.model_of(name)) is not None}
            kept = tuple(f"{model}{part}" for model in models for part in (":version", ":floor"))
            await self._link.batch([("UNLINK", name) for name in names if name not in kept])
        # Last, so that a caller that sees the new version finds no routes any more.
        for model in models:
            await self.subscriptions.clear_routes(model)

    async def figures(self) -> RedisFigures:
        """Ask Redis."""
        facts = await self._link.facts()
        return RedisFigures(
            push_scheduled=await self.pushes.scheduled(),
            servers=len(facts),
            used_memory_bytes=sum(each["used_memory"] for each in facts),
            max_memory_bytes=sum(each["maxmemory"] for each in facts),
        )


def check(facts: Facts, *, is_cluster: bool, logger: Logger) -> None:
    """Refuse a Redis that cannot be used, and warn about one that may lose data."""
    version = str(facts["redis_version"])
    if int(version.partition(".")[0]) < _OLDEST:
        raise StartupError(f"Redis {version} is too old for the registry; it needs {_OLDEST}.0")
    if (facts["redis_mode"] == "cluster") is not is_cluster:
        raise StartupError("Redis is a cluster: set registry.cluster = true")
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        logger.warning(
            "Redis evicts keys when memory is short: sessions and subscriptions would vanish; set "
            "maxmemory-policy noeviction",
            maxmemory_policy=facts["maxmemory_policy"],
        )
    if not facts.get("aof_enabled"):
        logger.warning(
            "Redis keeps no append-only file: when it restarts, sessions and idempotency keys are "
            "lost; set appendonly yes"
        )
