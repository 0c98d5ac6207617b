"""The servers that a distributed Nexxus uses on this machine.

They do not use the usual ports, so that they do not conflict with servers already on the machine.
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
"""The folder for all files of the servers and the cluster."""


class StandardSet:
    """Elasticsearch, RabbitMQ, a single Redis and a Redis cluster of three."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self.elasticsearch = ElasticsearchServer(directory / "elasticsearch", 19200)
        self.rabbitmq = RabbitMQServer(directory / "rabbitmq", 15673)
        self.redis = RedisServer(directory / "redis", 16379)
        self.redis_cluster = RedisClusterServer(directory / "redis-cluster", 17001)

    def __iter__(self) -> Iterator[LocalServer]:
        return iter((self.elasticsearch, self.rabbitmq, self.redis, self.redis_cluster))
