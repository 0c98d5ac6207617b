"""The Redis registry keeps what every registry promises, on one server and on a cluster."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from redis_server import new_redis_prefix
from services.redis import RedisClusterServer, RedisServer

from nexxus.adapters.redis.registry import RedisRegistry
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.interfaces.registry import Registry
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import RegistryConformance, SharedRegistryConformance

PATIENCE = 10.0
"""Seconds for an answer: the kit asks for much at once, and the machine may be busy."""


class OnRedis(RegistryConformance):
    """Whatever Redis it is."""

    @pytest.fixture
    async def registry(self, settings: RedisSettings) -> AsyncIterator[RedisRegistry]:
        self.settings = settings
        registry = RedisRegistry(settings, logger=Journal())
        await registry.open()
        yield registry
        await registry.close()

    async def reopen(self, registry: Registry) -> Registry:
        await registry.close()
        reopened = RedisRegistry(self.settings, logger=Journal())
        await reopened.open()
        return reopened


class TestRedisRegistry(OnRedis, SharedRegistryConformance):
    @pytest.fixture
    def open_registry(self, settings: RedisSettings) -> Callable[[], Registry]:
        return partial(RedisRegistry, settings, logger=Journal())

    @pytest.fixture
    def settings(self, redis_server: RedisServer) -> RedisSettings:
        return RedisSettings(url=redis_server.url, prefix=new_redis_prefix(), timeout=PATIENCE)


class TestRedisRegistryOnACluster(OnRedis):
    @pytest.fixture
    def settings(self, redis_cluster: RedisClusterServer) -> RedisSettings:
        return RedisSettings(
            url=redis_cluster.url, prefix=new_redis_prefix(), cluster=True, timeout=PATIENCE
        )
