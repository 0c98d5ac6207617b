"""The world under test: services, nodes, and a proxy on every connection between them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

from cluster import Cluster
from server import Endpoint
from services.elasticsearch import ElasticsearchServer
from services.local_server import LocalServer, free_ports
from services.rabbitmq import PORTS as RABBITMQ_PORTS
from services.rabbitmq import RabbitMQServer
from services.redis import RedisServer
from tcp_proxy import TcpProxy

from chaos.plan import CLIENT_LINKS, NODES, SERVICES, Fault, Kind

_DELAY: Final = 0.15
_PORTS: Final = range(20_000, 30_000)


class World:
    """A cluster in `directory`, whose nodes connect to each service through their own proxies.

    Clients connect to the API and the gateway through load balancers, which are proxies too.
    """

    def __init__(self, directory: Path) -> None:
        elasticsearch, redis, *nodes = free_ports(2 + 2 * len(NODES), _PORTS)
        (rabbitmq,) = free_ports(1, RABBITMQ_PORTS)
        self.elasticsearch = ElasticsearchServer(directory / "elasticsearch", elasticsearch)
        self.rabbitmq = RabbitMQServer(directory / "rabbitmq", rabbitmq)
        # A killed Redis must not lose anything here: every acknowledged write is on disk.
        self.redis = RedisServer(directory / "redis", redis, persistence="always")
        self.services: dict[str, LocalServer] = {
            "elasticsearch": self.elasticsearch,
            "rabbitmq": self.rabbitmq,
            "redis": self.redis,
        }
        self.links = {
            (node, service): TcpProxy(self.services[service].port)
            for node in NODES
            for service in SERVICES
        }
        self._directory = directory
        self._node_ports = nodes
        self.ended: list[str] = []
        self._locks = {name: asyncio.Lock() for name in (*NODES, *SERVICES)}
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything. Raises `ServerFailed`."""
        async with AsyncExitStack() as resources:
            for service in self.services.values():
                resources.callback(service.kill)
            # One at a time, because package managers block each other.
            for service in self.services.values():
                await asyncio.to_thread(service.install)
            await asyncio.gather(
                *(asyncio.to_thread(service.start) for service in self.services.values())
            )
            for proxy in self.links.values():
                await resources.enter_async_context(proxy)
            self.cluster = Cluster(
                self, self._directory / "cluster", self._node_ports, self._settings
            )
            self.nodes = {node.directory.name: node for node in self.cluster}
            resources.callback(self._kill_nodes)
            for link, role in zip(CLIENT_LINKS, ("api", "gateway"), strict=True):
                origin, goal = link.split(">")
                proxy = TcpProxy(*(node.port for node in self.cluster.nodes[role]))
                self.links[origin, goal] = await resources.enter_async_context(proxy)
            await asyncio.to_thread(self.cluster.start)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    @property
    def endpoint(self) -> Endpoint:
        """The load balancers to which clients connect."""
        return Endpoint(
            f"http://127.0.0.1:{self.links['clients', 'api'].port}",
            f"ws://127.0.0.1:{self.links['clients', 'gateway'].port}/",
            self.cluster.admin_key,
        )

    def _settings(self, node: str) -> Mapping[str, str]:
        elasticsearch, rabbitmq, redis = (self.links[node, each].port for each in SERVICES)
        return {
            "database.urls": f'["http://127.0.0.1:{elasticsearch}"]',
            "broker.url": f"amqp://guest:guest@127.0.0.1:{rabbitmq}/",
            "registry.url": f"redis://127.0.0.1:{redis}/0",
        }

    def _kill_nodes(self) -> None:
        for node in self.nodes.values():
            node.kill()

    # Faults

    async def inflict(self, fault: Fault) -> None:
        """Inflict a fault and undo it. A killed process is restarted, but may not be ready yet."""
        if fault.target in self._locks:
            async with self._locks[fault.target]:
                await self._to_process(fault)
        else:
            proxies = [self.links[link] for link in fault.links]
            try:
                for proxy in proxies:
                    _worsen(proxy, fault)
                await asyncio.sleep(fault.lasts)
            finally:
                for proxy in proxies:
                    _restore(proxy, fault.kind)

    async def _to_process(self, fault: Fault) -> None:
        server = self.services.get(fault.target) or self.nodes[fault.target]
        self._note_if_ended(fault.target, server)
        match fault.kind:
            case Kind.FREEZE:
                if (pid := server.pid) is not None:
                    os.killpg(pid, signal.SIGSTOP)
                    try:
                        await asyncio.sleep(fault.lasts)
                    finally:
                        os.killpg(pid, signal.SIGCONT)
                return
            case Kind.KILL:
                await asyncio.to_thread(server.kill)
            case _:
                await asyncio.to_thread(server.stop)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(server.launch)

    def _note_if_ended(self, name: str, server: LocalServer) -> None:
        if server.pid is None:
            self.ended.append(f"{name} ended unexpectedly:\n{server.last_words()}")

    async def recover(self) -> None:
        """Wait until everything is ready again without help.

        A process that ended unexpectedly is recorded in `ended` and restarted. Raises
        `ServerFailed` if a process does not become ready.
        """
        servers = {**self.services, **self.nodes}
        for name, server in servers.items():
            self._note_if_ended(name, server)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers.values()))


def _worsen(proxy: TcpProxy, fault: Fault) -> None:
    every_other = slice(fault.number % 2, None, 2)
    match fault.kind:
        case Kind.STALL:
            proxy.stalled = True
        case Kind.DELAY:
            proxy.delay = _DELAY
        case Kind.HALF_OPEN:
            proxy.leave_half_open()
        case Kind.HALF_OPEN_SOME:
            proxy.leave_half_open(every_other)
        case Kind.REFUSE:
            proxy.refuses = True
            proxy.reset()
        case Kind.RESET_SOME:
            proxy.reset(every_other)
        case _:
            proxy.reset()


def _restore(proxy: TcpProxy, kind: Kind) -> None:
    match kind:
        case Kind.STALL:
            proxy.stalled = False
        case Kind.DELAY:
            proxy.delay = 0.0
        case Kind.REFUSE:
            proxy.refuses = False
        case _:
            pass  # those connections have ended; their clients open new ones
