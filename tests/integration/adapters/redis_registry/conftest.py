"""Registries on Redis, as the nodes of an installation open them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis_server import new_redis_prefix
from services.redis import RedisServer

from nexxus.adapters.redis.registry import RedisRegistry
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.testing.journal import Journal

OpenRegistry = Callable[..., Any]


@pytest.fixture
def settings(redis_server: RedisServer) -> RedisSettings:
    return RedisSettings(url=redis_server.url, prefix=new_redis_prefix())


@pytest.fixture
async def open_registry() -> AsyncIterator[OpenRegistry]:
    """Opens registries, as the nodes of an installation would; closes them at the end."""
    async with AsyncExitStack() as stack:

        async def opened(settings: RedisSettings) -> RedisRegistry:
            registry = RedisRegistry(settings, logger=Journal())
            await registry.open()
            stack.push_async_callback(registry.close)
            return registry

        yield opened


@pytest.fixture(params=["single", "cluster"])
async def two(
    request: pytest.FixtureRequest, open_registry: OpenRegistry
) -> tuple[RedisRegistry, RedisRegistry]:
    """The registries of two nodes, on a single server and on a cluster."""
    server = request.getfixturevalue(
        "redis_server" if request.param == "single" else "redis_cluster"
    )
    settings = RedisSettings(
        url=server.url, prefix=new_redis_prefix(), cluster=request.param == "cluster"
    )
    return await open_registry(settings), await open_registry(settings)
