"""Redis: a single server, and a cluster of three masters."""

from __future__ import annotations

import shlex
import socket
import time
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from services.local_server import LocalServer, ServerFailed, apt_install

Persistence: TypeAlias = Literal["no", "everysec", "always"]
"""When writes are flushed to disk; ``no`` means that nothing is written to disk."""

_SLOTS: Final = 16_384
_MASTERS: Final = 3
_ANSWER_WITHIN: Final = 2.0
_FORMING: Final = 30.0


class _OfRedis(LocalServer):
    """The base class of Redis servers; each refuses writes beyond `max_memory` (``100mb``)."""

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        persistence: Persistence = "everysec",
        max_memory: str = "256mb",
    ) -> None:
        super().__init__(directory, port)
        self._persistence = persistence
        self._max_memory = max_memory

    def install(self) -> None:
        """Use the installed server, or install Debian's packages."""
        apt_install("redis-server", "redis-server")

    def _server(self, port: int, directory: Path) -> list[str]:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(directory.resolve()),
            "daemonize": "no",
            "save": "",
            "appendonly": "no" if self._persistence == "no" else "yes",
            "appendfsync": self._persistence,
            "maxmemory": self._max_memory,
            "maxmemory-policy": "noeviction",
        }
        return [
            "redis-server",
            *(part for name in options for part in (f"--{name}", options[name])),
        ]


class RedisServer(_OfRedis):
    """A single Redis server."""

    name: ClassVar[str] = "Redis"

    @property
    def url(self) -> str:
        """The value of the setting ``registry.url``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return the command; the append-only file is in the directory."""
        return self._server(self.port, self.directory)

    def is_ready(self) -> bool:
        """Return whether it responds, after it has loaded its file."""
        return _ask(self.port, "PING") == "+PONG"


class RedisClusterServer(_OfRedis):
    """Three masters without replicas, in one process group.

    They listen on `port` and the next two ports, and communicate on the three after those. `kill`
    and `stop` affect all of them.
    """

    name: ClassVar[str] = "Redis cluster"

    @property
    def ports(self) -> tuple[int, ...]:
        """The masters' ports for clients."""
        return tuple(range(self.port, self.port + _MASTERS))

    @property
    def url(self) -> str:
        """The value of the setting ``registry.url``, with ``registry.cluster = true``."""
        return ",".join(f"redis://127.0.0.1:{port}" for port in self.ports)

    def command(self) -> list[str]:
        """Return the command of a shell that waits for the servers; they get signals directly."""
        masters = []
        for port in self.ports:
            directory = self.directory / str(port)
            directory.mkdir(exist_ok=True)
            arguments = self._server(port, directory)
            arguments += ["--cluster-enabled", "yes", "--cluster-port", str(port + _MASTERS)]
            arguments += ["--cluster-node-timeout", "2000", "--cluster-announce-ip", "127.0.0.1"]
            masters.append(f"{shlex.join(arguments)} &")
        return ["sh", "-c", "\n".join([*masters, "wait"])]

    def is_ready(self) -> bool:
        """Return whether all three respond, after they have loaded their files."""
        return all(_ask(port, "PING") == "+PONG" for port in self.ports)

    def start(self) -> None:
        """Start the servers, and form a cluster if they have not formed one yet."""
        super().start()
        if _ask(self.port, "CLUSTER SLOTS") == "*0":
            self._form()
        deadline = time.monotonic() + _FORMING
        while not all(map(_sees_all_slots, self.ports)):
            if time.monotonic() > deadline:
                raise ServerFailed(f"the Redis cluster did not form:\n{self.last_words()}")
            time.sleep(0.05)

    def _form(self) -> None:
        for number, port in enumerate(self.ports):
            first, behind = (_SLOTS * edge // _MASTERS for edge in (number, number + 1))
            _ask(port, f"CLUSTER SET-CONFIG-EPOCH {number + 1}")
            _ask(port, f"CLUSTER ADDSLOTSRANGE {first} {behind - 1}")
        for port in self.ports[1:]:
            _ask(self.port, f"CLUSTER MEET 127.0.0.1 {port} {port + _MASTERS}")


def _ask(port: int, command: str) -> str:
    """Return the first line of a server's response to a command, or "" if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), _ANSWER_WITHIN) as connection:
            connection.sendall(f"{command}\r\n".encode())
            answer = connection.makefile("rb")
            head = answer.readline().decode().strip()
            return answer.read(int(head[1:])).decode() if head.startswith("$") else head
    except (OSError, ValueError):
        return ""


def _sees_all_slots(port: int) -> bool:
    state = _ask(port, "CLUSTER INFO")
    return "cluster_state:ok" in state and f"cluster_known_nodes:{_MASTERS}" in state
