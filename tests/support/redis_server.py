"""One Redis and one Redis cluster for the whole run, started when a test first needs them."""

from __future__ import annotations

import random
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from ports import free_port
from redis.asyncio import Redis
from running import running
from services.local_server import ServerFailed
from services.redis import Persistence, RedisClusterServer, RedisServer

__all__ = [
    "new_redis_prefix",
    "redis_cluster",
    "redis_server",
    "running_redis",
    "running_redis_cluster",
]


@contextmanager
def running_redis(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    persistence: Persistence = "no",
    max_memory: str = "256mb",
) -> Iterator[RedisServer]:
    """A server of its own, killed at the end: nobody will want its data."""
    directory = tmp_path_factory.mktemp("redis")
    server = RedisServer(directory, free_port(), persistence=persistence, max_memory=max_memory)
    with running(server):
        yield server


@contextmanager
def running_redis_cluster(
    tmp_path_factory: pytest.TempPathFactory, *, persistence: Persistence = "no"
) -> Iterator[RedisClusterServer]:
    """A cluster of its own, killed at the end."""
    directory = tmp_path_factory.mktemp("redis-cluster")
    server = RedisClusterServer(directory, _free_ports_in_a_row(6), persistence=persistence)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running server; whoever uses it takes a prefix of his own, see `new_redis_prefix`."""
    with running_redis(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServer]:
    """A running cluster; whoever uses it takes a prefix of his own."""
    with running_redis_cluster(tmp_path_factory) as server:
        yield server


def new_redis_prefix() -> str:
    """A value for ``registry.prefix`` that nobody else has."""
    return f"test-{uuid.uuid4().hex[:12]}"


def _free_ports_in_a_row(count: int) -> int:
    """The first of so many free ports, below those that the system gives out itself."""
    for _ in range(100):
        first = random.randrange(20_000, 30_000, count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise ServerFailed(f"there are no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[Redis]:
    """Redis without us in between."""
    async with Redis(port=port) as client:
        yield client
