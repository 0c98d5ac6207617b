"""The opening handshake: who may open a WebSocket here, and what the others are told."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nexxus.adapters.websockets.framing import choose_subprotocol, framing_of
from nexxus.domain.objects import new_id
from nexxus.errors import (
    InvalidParameters,
    MethodNotAllowed,
    NotFound,
    ServerError,
    ServiceUnavailable,
    WireError,
)
from nexxus.interfaces.transport import Framing


class Handshake(msgspec.Struct, frozen=True):
    """The answer to an upgrade request; `framing` is None when it was refused."""

    response: bytes
    framing: Framing | None


def answer_upgrade(request: bytes, *, path: str, is_accepting: bool) -> Handshake:
    """Decide on the raw HTTP request of a WebSocket upgrade to be served at `path`."""
    protocol = ServerProtocol(select_subprotocol=_select)
    protocol.receive_data(request)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        return _refuse(400, InvalidParameters(f"not a request: {protocol.handshake_exc}"))
    asked = events[0]
    if not is_path(asked.path.partition("?")[0], path):
        return _refuse(404, NotFound(f"there is no WebSocket here; it is at {path}"))
    if not is_accepting:
        return _refuse(503, unavailable())
    response = protocol.accept(asked)
    if response.status_code != 101:
        return _translate(response)
    # No extension is ever agreed on: compressing would cost a frame of its own per socket.
    return Handshake(response.serialize(), framing_of(protocol.subprotocol))


def is_path(asked: str, path: str) -> bool:
    """Whether a request is for the WebSocket's path, with or without a slash at its end."""
    return asked.rstrip("/") == path.rstrip("/")


def unavailable() -> ServiceUnavailable:
    """What a client is told when no connection is accepted now."""
    return ServiceUnavailable("this node takes no more connections now; try again, or elsewhere")


def _select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    chosen = choose_subprotocol(offered)
    return None if chosen is None else Subprotocol(chosen)


def _translate(response: Response) -> Handshake:
    """The library's refusal in the words of our errors."""
    text = (response.body or b"").decode().partition("\n")[0]
    status = response.status_code
    error: WireError = InvalidParameters(text)
    if status == 405:
        error = MethodNotAllowed(text, allow=("GET",))
    elif status >= 500 and status != 505:
        error = ServerError("the handshake failed")
    passed_on = {
        name: response.headers[name] for name in ("Allow", "Upgrade") if name in response.headers
    }
    return _refuse(status, error, {**passed_on, "Sec-WebSocket-Version": "13"})


def _refuse(status: int, error: WireError, more: dict[str, str] | None = None) -> Handshake:
    body = msgspec.json.encode({**error.to_wire(), "requestId": new_id()})
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **(more or {}),
        }
    )
    return Handshake(Response(status, "Refused", headers, body).serialize(), None)
