"""RabbitMQ with quorum queues and the management API, as a separate Erlang node."""

from __future__ import annotations

import json
import secrets
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from services.local_server import LocalServer, apt_install

PORTS: Final = range(3_000, 8_000)
"""Ports to choose from: so low that derived ports are not assigned to connections either."""

_LAUNCHER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_ANSWER_WITHIN = 5.0

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
# Readiness is checked through the management API, with the default user for loopback.
loopback_users.guest = true
# Small machines: neither alarm may block publishers because the host is nearly full.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
log.console = true
log.console.level = warning
log.file = false
"""

_LAUNCH = """\
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" &
epmd=$!
{launcher} &
server=$!
trap 'kill -TERM $server; wait $server; kill $epmd; exit 143' TERM INT
wait $server
status=$?
kill $epmd
exit $status
"""
"""Starts epmd first; the node would start one that leaves our process group and outlives it."""


class RabbitMQServer(LocalServer):
    """One node. `port` serves AMQP; the other ports are derived from it.

    It shares nothing with other nodes on the machine: it has its own name, cookie, epmd and files.
    It takes about ten seconds to start; `kill` ends the Erlang machine and its epmd together.
    """

    name: ClassVar[str] = "RabbitMQ"

    @property
    def url(self) -> str:
        """The value of the setting ``broker.url``."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def management_port(self) -> int:
        """The port of the management API."""
        return _derived(self.port, 1)

    def install(self) -> None:
        apt_install("rabbitmq-server", "rabbitmq-server")

    def command(self) -> list[str]:
        for folder in ("mnesia", "log", "home"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        self._write_cookie()
        self._configuration_path.write_text(
            _CONFIGURATION.format(port=self.port, management_port=self.management_port)
        )
        self._plugins_path.write_text("[rabbitmq_management].\n")
        return ["/bin/sh", "-c", _LAUNCH.format(launcher=_LAUNCHER)]

    def environment(self) -> dict[str, str]:
        folder = self.directory.resolve()
        return {
            "HOME": str(folder / "home"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(_derived(self.port, 2)),
            "RABBITMQ_NODENAME": f"nexxus{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(_derived(self.port, 3)),
            "RABBITMQ_CONFIG_FILE": str(self._configuration_path),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # ignore the machine's own installation
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._plugins_path),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "erlang.pid"),
            # Two schedulers that sleep when idle: tests run beside it on small machines.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} "
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }

    def is_ready(self) -> bool:
        try:
            self.ask("GET", "/api/overview")
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except (OSError, ValueError):
            return False
        return True

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the management API and return the decoded response, None if it has no body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "authorization": "Basic Z3Vlc3Q6Z3Vlc3Q=",
                "content-type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN) as response:
            content = response.read()
        return json.loads(content) if content else None

    def queues(self, prefix: str) -> list[str]:
        """Return the names of the queues with this prefix."""
        names = self.ask("GET", "/api/queues/%2F?columns=name")
        return sorted(each["name"] for each in names if each["name"].startswith(prefix))

    def delete_queues(self, prefix: str) -> None:
        """Delete the queues with this prefix, including their messages."""
        for name in self.queues(prefix):
            try:
                self.ask("DELETE", f"/api/queues/%2F/{urllib.parse.quote(name, safe='')}")
            except urllib.error.HTTPError as error:
                if error.code != 404:  # it may have expired meanwhile
                    raise

    def close_connections(self, name_ends: str) -> None:
        """Close the connections of clients whose names have this suffix, as an operator would.

        RabbitMQ lists closed connections for a while, so a name that was used before may match only
        those.
        """
        while not (names := self._connections(name_ends)):
            time.sleep(0.1)  # the management API lists a connection only after some time
        for name in names:
            with suppress(urllib.error.HTTPError):
                self.ask("DELETE", f"/api/connections/{urllib.parse.quote(name, safe='')}")

    def _connections(self, name_ends: str) -> list[str]:
        return [
            each["name"]
            for each in self.ask("GET", "/api/connections")
            if each.get("client_properties", {}).get("connection_name", "").endswith(name_ends)
        ]

    @property
    def _configuration_path(self) -> Path:
        return self.directory.resolve() / "rabbitmq.conf"

    @property
    def _plugins_path(self) -> Path:
        return self.directory.resolve() / "enabled_plugins"

    def _write_cookie(self) -> None:
        path = self.directory / "home" / ".erlang.cookie"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(20))
            path.chmod(0o400)


def _derived(port: int, number: int) -> int:
    """Return another port for the same server, between 1024 and 65535, some thousands away."""
    return 1024 + (port - 1024 + number * 7919) % (65536 - 1024)
