"""The opening handshake of a WebSocket on Nexxus's own port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nexxus.errors import InvalidParameters


class Handshake(NamedTuple):
    """The head of the response (101) that opens a WebSocket, and the selected subprotocol."""

    head: bytes
    subprotocol: str | None


class BadHandshake(InvalidParameters):
    """A WebSocket request that violates RFC 6455; the response has `HEADERS`."""

    HEADERS = ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))


def answer_handshake(
    headers: Iterable[tuple[bytes, bytes]], subprotocols: Sequence[str], request_id: bytes
) -> Handshake:
    """Accept the upgrade requested by these headers. Raises `BadHandshake`.

    No extension is ever accepted: with compression, each socket would need its own frames.
    """

    def select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        chosen = choose_subprotocol(offered, subprotocols)
        return None if chosen is None else Subprotocol(chosen)

    protocol = ServerProtocol(select_subprotocol=select)
    # The path does not matter here.
    asked = Request("/", Headers((n.decode("latin-1"), v.decode("latin-1")) for n, v in headers))
    response = protocol.accept(asked)
    if response.status_code != 101:
        raise BadHandshake((response.body or b"").decode().partition("\n")[0])
    response.headers["X-Request-Id"] = request_id.decode()
    return Handshake(response.serialize(), protocol.subprotocol)


def choose_subprotocol(offered: Iterable[str], known: Sequence[str]) -> str | None:
    """Return the first of a client's subprotocols that is known, or None."""
    return next((name for name in offered if name in known), None)
