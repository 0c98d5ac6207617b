"""Redis: a single server, and a cluster of three masters."""

from __future__ import annotations

import shlex
import socket
import time
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from services.local_server import LocalServer, ServerFailed, apt_install

Persistence: TypeAlias = Literal["no", "everysec", "always"]
"""When what was written is forced to the disk; with ``no`` nothing is written to it at all."""

_SLOTS: Final = 16_384
_MASTERS: Final = 3
_ANSWER_WITHIN: Final = 2.0
_FORMING: Final = 30.0


class _OfRedis(LocalServer):
    """What servers of Redis have in common: they refuse writes when they have used `max_memory`
    (such as ``100mb``) each."""

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
        """Take it from the system, or from Debian's packages."""
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
    """One Redis."""

    name: ClassVar[str] = "Redis"

    @property
    def url(self) -> str:
        """For the setting ``registry.url``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The server, with its append-only file in the directory."""
        return self._server(self.port, self.directory)

    def is_ready(self) -> bool:
        """Whether it answers, having read its file."""
        return _ask(self.port, "PING") == "+PONG"


class RedisClusterServer(_OfRedis):
    """Three masters without replicas, in one process group.

    They are on `port` and the two ports above, and talk to each other on the three above those.
    `kill` and `stop` are for all of them.
    """

    name: ClassVar[str] = "Redis cluster"

    @property
    def ports(self) -> tuple[int, ...]:
        """Where the masters serve clients."""
        return tuple(range(self.port, self.port + _MASTERS))

    @property
    def url(self) -> str:
        """For the setting ``registry.url``, beside ``registry.cluster = true``."""
        return ",".join(f"redis://127.0.0.1:{port}" for port in self.ports)

    def command(self) -> list[str]:
        """A shell that waits for the three servers, which get its signals themselves."""
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
        """Whether all three answer, having read their files."""
        return all(_ask(port, "PING") == "+PONG" for port in self.ports)

    def start(self) -> None:
        """Start the servers, and make a cluster of them if they are none yet."""
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
    """What a server answers to a command, of a list the first line; "" if there is none."""
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
