"""A cluster on this machine: the servers of the distributed set, and two nodes of each role.

``python scripts/cluster.py start`` prints what a shell needs to talk to it; ``stop`` ends it.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

import httpx2
from services.elasticsearch import ElasticsearchServer
from services.local_server import LocalServer, ServerFailed
from services.rabbitmq import RabbitMQServer
from services.redis import RedisServer
from services.standard_set import DIRECTORY, StandardSet

NEXXUS = Path(sys.executable).with_name("nexxus")
ROLES = ("writer", "transport-manager", "gateway", "api")
NODES_PER_ROLE = 2
PORTS: Final = range(18080, 18096)
"""Where the nodes of `make cluster` are: their own ports, then those for their health."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_CONFIGURATION = """\
[server]
startup_timeout = 120

[database]
adapter = "elasticsearch"
urls = ["{elasticsearch}"]

[broker]
adapter = "rabbitmq"
url = "{rabbitmq}"

[registry]
adapter = "redis"
url = "{redis}"

[admin]
key = "{admin_key}"

[logger]
format = "json"
"""


class NexxusNode(LocalServer):
    """``nexxus serve`` with one role or several.

    `port` is the role's own, if it has one; on `health_port` the node says how it is, whatever its
    role. `settings` are the node's own, over those of the configuration; `environment` is what it
    finds in its environment besides ours.
    """

    name: ClassVar[str] = "nexxus"

    def __init__(
        self,
        directory: Path,
        port: int,
        health_port: int,
        *,
        roles: str,
        configuration: Path,
        settings: Mapping[str, str] = _NOTHING,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        super().__init__(directory, port)
        self.health_port = health_port
        self.roles = roles
        self._configuration = configuration
        self._settings = settings
        self._environment = environment

    def install(self) -> None:
        """Nothing to install: it is the package that this script belongs to."""

    def command(self) -> list[str]:
        return [
            *(str(NEXXUS), "serve", "--config", str(self._configuration)),
            *("--roles", self.roles, "--data-dir", str(self.directory / "data")),
            *("--port", str(self.port), "--gateway-port", str(self.port)),
            *("--set", f"health.port={self.health_port}"),
            *(part for key in self._settings for part in ("--set", f"{key}={self._settings[key]}")),
        ]

    def environment(self) -> dict[str, str]:
        return dict(self._environment)

    def is_ready(self) -> bool:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self.health_port}/readyz", timeout=5)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200


class Services(Protocol):
    """The servers that a cluster works with."""

    elasticsearch: ElasticsearchServer
    rabbitmq: RabbitMQServer
    redis: RedisServer


class Cluster:
    """Two nodes of each role, each a process of its own. The services must run already.

    `ports` are two for each node: first all nodes' own, then those for their health. `settings`
    gives what a node of a name, such as ``writer-1``, has over the common configuration, and
    `environment` what all of them find in their environment besides ours.
    """

    def __init__(
        self,
        servers: Services,
        directory: Path,
        ports: Sequence[int] = PORTS,
        settings: Callable[[str], Mapping[str, str]] = lambda _: _NOTHING,
        *,
        roles: Sequence[str] = ROLES,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.directory = directory
        self.servers = servers
        self.nodes: dict[str, list[NexxusNode]] = {}
        count = len(roles) * NODES_PER_ROLE
        pairs = zip(ports[:count], ports[count:], strict=True)
        for role in roles:
            self.nodes[role] = [
                NexxusNode(
                    directory / f"{role}-{number}",
                    *next(pairs),
                    roles=role,
                    configuration=directory / "nexxus.toml",
                    settings=settings(f"{role}-{number}"),
                    environment=environment,
                )
                for number in range(1, NODES_PER_ROLE + 1)
            ]

    def __iter__(self) -> Iterator[NexxusNode]:
        for nodes in self.nodes.values():
            yield from nodes

    @property
    def admin_key(self) -> str:
        """The key that all nodes know; made with the cluster's directory."""
        path = self.directory / "admin-key"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        return path.read_text()

    def start(self) -> None:
        """Start every node; returns when all are ready."""
        admin_key = self.admin_key
        (self.directory / "nexxus.toml").write_text(
            _CONFIGURATION.format(
                elasticsearch=self.servers.elasticsearch.url,
                rabbitmq=self.servers.rabbitmq.url,
                redis=self.servers.redis.url,
                admin_key=admin_key,
            )
        )
        with ThreadPoolExecutor() as threads:
            list(threads.map(NexxusNode.start, self))

    def stop(self) -> None:
        """End every node, the ones that take writes first."""
        for node in reversed(list(self)):
            node.stop()

    def exports(self) -> str:
        """Lines for a shell: where the cluster is and the key that manages it."""
        return (
            f"export NEXXUS_URL=http://127.0.0.1:{self.nodes['api'][0].port}\n"
            f"export NEXXUS_WS_URL=ws://127.0.0.1:{self.nodes['gateway'][0].port}/\n"
            f"export NEXXUS_ADMIN_KEY={self.admin_key}"
        )


def main(arguments: list[str]) -> int:
    """Do what was asked for; the exit code."""
    servers = StandardSet()
    cluster = Cluster(servers, DIRECTORY / "cluster")
    match arguments:
        case ["start"]:
            try:
                for server in servers:
                    server.start()
                cluster.start()
            except ServerFailed as error:
                print(error, file=sys.stderr)
                return 1
            print(cluster.exports())
        case ["stop"]:
            cluster.stop()
        case _:
            print("usage: python scripts/cluster.py start|stop", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
