"""One RabbitMQ for the whole run, started when a test first needs it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from running import running
from services.local_server import free_ports
from services.rabbitmq import PORTS, RabbitMQServer

__all__ = ["new_prefix", "rabbitmq_server", "running_rabbitmq"]


@contextmanager
def running_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A server of its own, killed at the end: nobody will want its data."""
    [port] = free_ports(1, PORTS)
    with running(RabbitMQServer(tmp_path_factory.mktemp("rabbitmq"), port)) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A running server; whoever uses it takes a prefix of his own, see `new_prefix`."""
    with running_rabbitmq(tmp_path_factory) as server:
        yield server


@contextmanager
def new_prefix(server: RabbitMQServer) -> Iterator[str]:
    """A value for ``broker.prefix`` that nobody else has; its queues are deleted at the end."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    try:
        yield prefix
    finally:
        # Kept tidy only for the sake of memory: some time after a kill it answers slowly.
        with suppress(OSError):
            server.delete_queues(f"{prefix}.")
