"""The connection under an HTTP request, where the server lets the application have it.

A server that does so puts a `HttpConnection` into the ``extensions`` of the request's ASGI scope,
under `EXTENSION`. What takes the connection over writes bytes to the socket as they are, which
ASGI does not allow for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

EXTENSION: Final = "nexxus.connection"
"""The name of a `HttpConnection` in the extensions of an ASGI scope."""


class HttpConnection(Protocol):
    """The connection of the request that is being handled, where the server is ours."""

    def begin_endless_answer(self) -> None:
        """Let the answer that begins next end with the connection, its body written as it is."""

    def hand_over(self, heir: Heir, head: bytes = b"") -> None:
        """Leave the connection to `heir`, once what is written already and `head` have been sent.

        Raises `ConnectionResetError` if it is lost already. The handler of the request returns
        without a further answer.
        """


class Heir(asyncio.Protocol):
    """What a connection is handed over to. It is one of its server's connections until it ends."""

    __slots__ = ("_connections", "transport")

    transport: asyncio.Transport

    def take(self, transport: asyncio.BaseTransport, connections: set[Any]) -> None:
        """Own the connection from now on; `connections` are those of the server."""
        # uvloop's transports do not inherit from asyncio's, but have all their methods.
        self.transport = cast("asyncio.Transport", transport)
        self._connections = connections
        connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is closed."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Close because the server around it stops."""
        self.transport.close()


def http_connection(scope: Mapping[str, Any]) -> HttpConnection | None:
    """Return the connection under a request, None where the server is not ours."""
    return scope.get("extensions", {}).get(EXTENSION)  # type: ignore[no-any-return]
