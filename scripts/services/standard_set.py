"""The servers that a distributed Nexxus of this machine uses, on ports of their own.

The ports are none of the usual ones, so that a server of the machine's owner is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.elasticsearch import ElasticsearchServer
from services.local_server import LocalServer
from services.rabbitmq import RabbitMQServer
from services.redis import RedisClusterServer, RedisServer

DIRECTORY: Final = Path(__file__).resolve().parents[2] / ".services"
"""Where everything is kept that the servers and the cluster write."""


class StandardSet:
    """Elasticsearch, RabbitMQ, a single Redis and a Redis cluster of three."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self.elasticsearch = ElasticsearchServer(directory / "elasticsearch", 19200)
        self.rabbitmq = RabbitMQServer(directory / "rabbitmq", 15673)
        self.redis = RedisServer(directory / "redis", 16379)
        self.redis_cluster = RedisClusterServer(directory / "redis-cluster", 17001)

    def __iter__(self) -> Iterator[LocalServer]:
        return iter((self.elasticsearch, self.rabbitmq, self.redis, self.redis_cluster))
