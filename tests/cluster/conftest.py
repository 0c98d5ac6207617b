"""One cluster for the whole run: two nodes of each role, started when a test first needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from client import Admin
from cluster import NODES_PER_ROLE, ROLES, Cluster
from elasticsearch_server import new_index_prefix
from nodes import at
from rabbitmq_server import new_prefix
from redis_server import new_redis_prefix
from server import Endpoint
from services.elasticsearch import ElasticsearchServer
from services.local_server import free_ports
from services.rabbitmq import RabbitMQServer
from services.redis import RedisServer
from tcp_proxy import TcpProxy
from tracing import UNMEASURED

ALL_ROLES = (*ROLES, "workers")
WORKERS = '["audit-log", "impatient-log"]'
PORTS = range(20_000, 30_000)
SUPPORT = Path(__file__).resolve().parents[1] / "support"
IMPATIENT, POST = SUPPORT / "impatient_plugin", SUPPORT / "post_plugin"


@pytest.fixture(scope="session")
def cluster(
    elasticsearch_server: ElasticsearchServer,
    rabbitmq_server: RabbitMQServer,
    redis_server: RedisServer,
    installed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A running cluster, on the services that other tests use too, with two custom workers.

    Whoever stops or kills a node starts it again.
    """
    services = SimpleNamespace(
        elasticsearch=elasticsearch_server, rabbitmq=rabbitmq_server, redis=redis_server
    )
    with ExitStack() as resources:
        settings = {
            "database.index_prefix": resources.enter_context(
                new_index_prefix(elasticsearch_server)
            ),
            "broker.prefix": resources.enter_context(new_prefix(rabbitmq_server)),
            "registry.prefix": new_redis_prefix(),
            "server.workers": WORKERS,
            "plugins.impatient-log.path": "impatient.jsonl",
            "push.services": '["post"]',
        }
        cluster = Cluster(
            services,
            tmp_path_factory.mktemp("cluster"),
            free_ports(2 * NODES_PER_ROLE * len(ALL_ROLES), PORTS),
            lambda _: settings,
            roles=ALL_ROLES,
            environment={"PYTHONPATH": f"{installed}:{IMPATIENT}:{POST}", **UNMEASURED},
        )
        for node in cluster:
            resources.callback(node.kill)
        cluster.start()
        yield cluster


@pytest.fixture(scope="session")
def endpoint(cluster: Cluster) -> Endpoint:
    """The first API node and the first gateway; `nodes.at` has the others."""
    return at(cluster, api=1, gateway=1)


@pytest.fixture(scope="session")
def admin(endpoint: Endpoint) -> Iterator[Admin]:
    """Manages applications over the first API node."""
    admin = Admin(endpoint)
    yield admin
    admin.close()


@pytest.fixture
async def balanced(cluster: Cluster) -> AsyncIterator[Endpoint]:
    """The cluster as its clients see it: behind a load balancer for each of the two roles."""
    async with AsyncExitStack() as resources:
        api, gateway = [
            await resources.enter_async_context(
                TcpProxy(*(node.port for node in cluster.nodes[role]))
            )
            for role in ("api", "gateway")
        ]
        yield Endpoint(
            f"http://127.0.0.1:{api.port}", f"ws://127.0.0.1:{gateway.port}/", cluster.admin_key
        )
