"""The distributed set: writes per second until they are applied, and from a write to its push.

    python benchmarks/distributed.py [--seconds 5] [--rate 50] [--subscribers 20]

Elasticsearch, RabbitMQ, Redis and two nodes of each role are started for it on this machine, and so
share its cores: what counts is the ratio to what the bare clients reach against the same servers
in the same run. For writes, these are a confirmed publish of each write to a quorum queue, as many
under way as Nexxus has connections, and bulks of documents; a write needs both, so the reference
is one after the other. For pushes they are a publish, its consumption, and a bulk of one document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aio_pika
import httpx2
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from elasticsearch import AsyncElasticsearch
from latency import measure_pushes, pace, wait_for
from load_clients import HttpConnection, http_request
from server_process import CONFIGURATION, MODEL
from writes import BODY, write_for

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from cluster import NODES_PER_ROLE, ROLES, Cluster
from services.elasticsearch import ElasticsearchServer
from services.local_server import LocalServer, free_ports
from services.rabbitmq import PORTS as RABBITMQ_PORTS
from services.rabbitmq import RabbitMQServer
from services.redis import RedisServer

APPLICATION = tomllib.loads(CONFIGURATION)["applications"][0]
COUNT = http_request("POST", "/model/count", {"type": MODEL})
QUEUE = "bench"
INDEX = "bench"
BULK = 256
WARM_UP = 2.0
LAST_APPLIED = 60.0


class Services:
    """The servers that the nodes work with, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        elasticsearch, redis = free_ports(2)
        (rabbitmq,) = free_ports(1, RABBITMQ_PORTS)
        self.elasticsearch = ElasticsearchServer(folder / "elasticsearch", elasticsearch)
        self.rabbitmq = RabbitMQServer(folder / "rabbitmq", rabbitmq)
        self.redis = RedisServer(folder / "redis", redis)

    def __iter__(self) -> Iterator[LocalServer]:
        return iter((self.elasticsearch, self.rabbitmq, self.redis))


@contextmanager
def running_cluster(services: Services, folder: Path) -> Iterator[Cluster]:
    """The services and two nodes of each role, with the application."""
    cluster = Cluster(services, folder, free_ports(2 * NODES_PER_ROLE * len(ROLES)))
    with ExitStack() as ends:
        for service in services:
            ends.callback(service.kill)
            service.install()
            service.start()
        for node in cluster:
            ends.callback(node.kill)
        cluster.start()
        answer = httpx2.post(
            f"http://127.0.0.1:{cluster.nodes['api'][0].port}/admin/applications",
            json=APPLICATION,
            headers={"Authorization": f"Bearer {cluster.admin_key}"},
            timeout=60,
        )
        answer.raise_for_status()
        yield cluster


# Writes


async def measure_writes(cluster: Cluster, connections: int, seconds: float) -> tuple[float, float]:
    """Accepted writes per second, and applied ones: until the last of them is stored."""
    ports = [node.port for node in cluster.nodes["api"]]
    opened = [
        await HttpConnection.open(ports[number % len(ports)]) for number in range(connections)
    ]
    await write_for(opened, WARM_UP)
    there = await _until_applied(opened[0], 0)
    started = time.perf_counter()
    written = await write_for(opened, seconds)
    accepted = time.perf_counter() - started
    await _until_applied(opened[0], there + written)
    return written / accepted, written / (time.perf_counter() - started)


async def _until_applied(connection: HttpConnection, count: int) -> int:
    """Wait until so many objects are stored and no more come; how many there are."""
    former = -1
    async with asyncio.timeout(LAST_APPLIED):
        while True:
            status, body = await connection.ask(COUNT)
            if status != 200:
                raise RuntimeError(f"not counted: {status} {body.decode()}")
            found: int = json.loads(body)["data"]["count"]
            if found >= count and (count or found == former):
                return found
            former = found
            await asyncio.sleep(0.02 if count else 1.0)


async def measure_bare_writes(
    bare: Bare, connections: int, seconds: float
) -> tuple[float, float, float]:
    """Per second: confirmed publishes, documents in bulks, and what comes through both in turn."""
    published = await bare.publish_for(connections, seconds / 2)
    stored = await bare.store_for(seconds / 2)
    return published, stored, 1 / (1 / published + 1 / stored)


# The reference


class Bare:
    """What RabbitMQ's and Elasticsearch's own clients do with the same write."""

    def __init__(self, channel: AbstractChannel, elasticsearch: AsyncElasticsearch) -> None:
        self._channel = channel
        self._elasticsearch = elasticsearch
        self._message = aio_pika.Message(
            json.dumps(BODY).encode().ljust(400), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, services: Services) -> AsyncIterator[Bare]:
        """Connect, and make a quorum queue and an index."""
        async with AsyncExitStack() as ends:
            connection = await aio_pika.connect(services.rabbitmq.url)
            await ends.enter_async_context(connection)
            channel = await connection.channel(publisher_confirms=True)
            await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            elasticsearch = AsyncElasticsearch(services.elasticsearch.url)
            ends.push_async_callback(elasticsearch.close)
            await elasticsearch.indices.create(
                index=INDEX,
                mappings={"properties": {name: {"type": "keyword"} for name in BODY}},
                settings={"number_of_shards": 1, "number_of_replicas": 0},
            )
            yield cls(channel, elasticsearch)

    async def publish_for(self, under_way: int, seconds: float) -> float:
        """Confirmed publishes per second, so many under way."""
        started = time.perf_counter()
        count = 0

        async def publish() -> None:
            nonlocal count
            while time.perf_counter() < started + seconds:
                await self._channel.default_exchange.publish(self._message, QUEUE)
                count += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(under_way):
                tasks.create_task(publish())
        return count / (time.perf_counter() - started)

    async def store_for(self, seconds: float) -> float:
        """Documents per second, one bulk after the other."""
        started = time.perf_counter()
        count = 0
        while time.perf_counter() < started + seconds:
            await self._elasticsearch.bulk(operations=[{"create": {}}, BODY] * BULK, index=INDEX)
            count += BULK
        return count / (time.perf_counter() - started)

    async def pushes(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from a publish until it was consumed and one document was stored."""
        samples: list[float] = []
        tasks: set[asyncio.Task[None]] = set()
        queue = await self._channel.declare_queue(exclusive=True)

        async def publish() -> None:
            sent = str(time.perf_counter_ns()).encode()
            await self._channel.default_exchange.publish(
                aio_pika.Message(sent.ljust(400)), queue.name
            )

        async def receive(message: AbstractIncomingMessage) -> None:
            await self._elasticsearch.bulk(operations=[{"create": {}}, BODY], index=INDEX)
            await message.ack()
            samples.append((time.perf_counter_ns() - int(message.body)) / 1e6)

        def send() -> None:
            task = asyncio.create_task(publish())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        await queue.consume(receive)
        await wait_for(samples, await pace(rate, seconds, send))
        return samples


async def run(services: Services, cluster: Cluster, arguments: argparse.Namespace) -> None:
    """Measure and print."""
    seconds, rate = arguments.seconds, arguments.rate
    async with Bare.open(services) as bare:
        await bare.publish_for(arguments.connections, WARM_UP)
        await bare.store_for(WARM_UP)
        published, stored, both = await measure_bare_writes(bare, arguments.connections, seconds)
        accepted, applied = await measure_writes(cluster, arguments.connections, seconds)
        print(
            f"writes  accepted {accepted:,.0f} /s, applied {applied:,.0f} /s"
            f"   bare confirmed publish {published:,.0f} /s, bulk {stored:,.0f} /s,"
            f" one after the other {both:,.0f} /s   ratio {applied / both:.2f}"
        )
        reference = await bare.pushes(rate, seconds)
        one, other = (node.port for node in cluster.nodes["gateway"])
        pushes = await measure_pushes(
            cluster.nodes["api"][0].port,
            rate,
            arguments.subscribers,
            seconds,
            gateways=(one, other),
        )
        reference += await bare.pushes(rate, seconds)
    ours = statistics.quantiles(pushes, n=100, method="inclusive")
    theirs = statistics.quantiles(reference, n=100, method="inclusive")
    print(
        f"pushes  p50 {ours[49]:.1f} ms, p99 {ours[98]:.1f} ms"
        f"   bare publish, consume, bulk p50 {theirs[49]:.1f} ms, p99 {theirs[98]:.1f} ms"
        f"   ratio of the p50 {ours[49] / theirs[49]:.1f}"
    )


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=64, help="that write at a time")
    parser.add_argument("--seconds", type=float, default=5.0, help="each measurement")
    parser.add_argument("--rate", type=float, default=50.0, help="writes per second, for pushes")
    parser.add_argument("--subscribers", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexxus-bench-") as name:
        services = Services(Path(name))
        with running_cluster(services, Path(name) / "cluster") as cluster:
            uvloop.run(run(services, cluster, arguments))


if __name__ == "__main__":
    main()
