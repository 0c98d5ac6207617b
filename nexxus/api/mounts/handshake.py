"""The opening handshake of a WebSocket on a port of our own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nexxus.errors import InvalidParameters


class Handshake(NamedTuple):
    """What opens a WebSocket: the head of the answer (101), and the subprotocol that it names."""

    head: bytes
    subprotocol: str | None


class BadHandshake(InvalidParameters):
    """The request asks for a WebSocket, but not as RFC 6455 says; answered with `HEADERS`."""

    HEADERS = ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))


def answer_handshake(
    headers: Iterable[tuple[bytes, bytes]], subprotocols: Sequence[str], request_id: bytes
) -> Handshake:
    """Accept the upgrade that a request with these headers asks for; raise `BadHandshake`.

    No extension is ever agreed on: compression would cost a frame of its own per socket.
    """

    def select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        chosen = choose_subprotocol(offered, subprotocols)
        return None if chosen is None else Subprotocol(chosen)

    protocol = ServerProtocol(select_subprotocol=select)
    # What the path is does not matter any more.
    asked = Request("/", Headers((n.decode("latin-1"), v.decode("latin-1")) for n, v in headers))
    response = protocol.accept(asked)
    if response.status_code != 101:
        raise BadHandshake((response.body or b"").decode().partition("\n")[0])
    response.headers["X-Request-Id"] = request_id.decode()
    return Handshake(response.serialize(), protocol.subprotocol)


def choose_subprotocol(offered: Iterable[str], known: Sequence[str]) -> str | None:
    """Return the first of a client's subprotocols that is known, None without one."""
    return next((name for name in offered if name in known), None)
