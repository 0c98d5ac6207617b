"""A cluster on this machine: the distributed setup's servers, and two nodes of each role.

``python scripts/cluster.py start`` prints the environment variables to reach it; ``stop`` ends it.
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
"""The ports of the nodes of `make cluster`: first their own, then their health ports."""

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
    """``nexxus serve`` with one or several roles.

    `port` is the role's port, if it has one; `health_port` serves health and metrics for any role.
    `settings` override the configuration file; `environment` has additional environment variables.
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
        """Do nothing: Nexxus is already installed."""

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
    """The servers that a cluster uses."""

    elasticsearch: ElasticsearchServer
    rabbitmq: RabbitMQServer
    redis: RedisServer


class Cluster:
    """Two nodes of each role, each in its own process. The services must already be running.

    `ports` has two per node: first all nodes' own ports, then their health ports. `settings`
    returns the settings with which a node, such as ``writer-1``, overrides the common
    configuration. `environment` has additional environment variables for all nodes.
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
        """The admin key of all nodes; generated with the cluster's directory."""
        path = self.directory / "admin-key"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        return path.read_text()

    def start(self) -> None:
        """Start all nodes, and return when they are ready."""
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
        """Stop all nodes, beginning with those that accept writes."""
        for node in reversed(list(self)):
            node.stop()

    def exports(self) -> str:
        """Return shell commands that export the cluster's URLs and its admin key."""
        return (
            f"export NEXXUS_URL=http://127.0.0.1:{self.nodes['api'][0].port}\n"
            f"export NEXXUS_WS_URL=ws://127.0.0.1:{self.nodes['gateway'][0].port}/\n"
            f"export NEXXUS_ADMIN_KEY={self.admin_key}"
        )


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
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
