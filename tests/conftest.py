"""One server for the whole run, and clients of it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import hypothesis
import pytest
from client import Admin, NexxusClient, new_http
from distribution import pytest_collection_modifyitems, pytest_xdist_auto_num_workers
from elasticsearch_server import elasticsearch_server
from not_tested import pytest_sessionfinish, pytest_terminal_summary
from plugin_packages import installed
from postgres_server import postgres_server
from rabbitmq_server import rabbitmq_server
from redis_server import redis_cluster, redis_server
from server import Endpoint, serving
from tracing import pytest_runtest_protocol, unmeasured_programs
from view import Ledger

__all__ = [
    "elasticsearch_server",
    "installed",
    "postgres_server",
    "pytest_collection_modifyitems",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_xdist_auto_num_workers",
    "rabbitmq_server",
    "redis_cluster",
    "redis_server",
    "unmeasured_programs",
]
# Hooks and fixtures, found here by pytest.


def pytest_configure() -> None:
    """Let Ctrl-C reach the servers under test.

    A run that was started in the background ignores it, and its child processes would too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes says more of the machine than of what is tested. A test that needs
# more examples than others says how many times as many.
hypothesis.settings.register_profile(
    "nexxus",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("nexxus"), max_examples=500
)
hypothesis.settings.load_profile("nexxus")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A running server: the one of ``NEXXUS_URL``, ``NEXXUS_WS_URL`` and ``NEXXUS_ADMIN_KEY``,
    else one of our own with nothing configured."""
    yield from serving(tmp_path_factory)


@pytest.fixture(scope="session")
def admin(endpoint: Endpoint) -> Iterator[Admin]:
    """Manages the server's applications."""
    admin = Admin(endpoint)
    yield admin
    admin.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """The HTTP connections of a test."""
    async with new_http() as client:
        yield client


ClientMaker = Callable[..., NexxusClient]


@pytest.fixture
async def new_client(endpoint: Endpoint, http: httpx2.AsyncClient) -> AsyncIterator[ClientMaker]:
    """Makes clients that share a ledger; broken promises fail the test at its end."""
    ledger = Ledger()
    clients: list[NexxusClient] = []

    def make(application: str | dict[str, Any]) -> NexxusClient:
        app_id = application if isinstance(application, str) else application["id"]
        client = NexxusClient(endpoint, app_id, http=http, ledger=ledger)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()
    for client in clients:
        client.check()
