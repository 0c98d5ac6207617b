"""Opening WebSockets, or refusing to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.types import Receive, Scope, Send

from nexxus.api.errors import to_answer
from nexxus.api.mounts.asgi_web_socket import AsgiWebSocket
from nexxus.api.mounts.handshake import answer_handshake, choose_subprotocol
from nexxus.api.mounts.raw_web_socket import RawWebSocket
from nexxus.api.mounts.request import MountedRequest
from nexxus.errors import AccessDenied, ServiceUnavailable, WireError
from nexxus.interfaces.http_connection import HttpConnection
from nexxus.interfaces.mounts import WebSocketMount
from nexxus.interfaces.transport import CloseCode, TransportHost

SWITCHING: Final = 101
"""The status of an opened WebSocket."""

_TRY_AGAIN_LATER: Final = 1013


def require_opening(host: TransportHost, request: MountedRequest, origins: Sequence[str]) -> None:
    """Raise an error if a WebSocket must be refused; `origins` is ``api.cors_origins``."""
    origin = request.headers.get("origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if origins and is_foreign and "*" not in origins and origin not in origins:
        raise AccessDenied(
            f"pages of {str(origin)[:256]} may not connect; add the origin to api.cors_origins"
        )
    if not host.is_accepting:
        raise ServiceUnavailable(
            "this node accepts no more connections now; try again, or use another node"
        )


def open_on(
    connection: HttpConnection,
    mount: WebSocketMount,
    host: TransportHost,
    request: MountedRequest,
    scope: Scope,
) -> None:
    """Open a WebSocket on a connection to Nexxus's own port. Raises `BadHandshake`."""
    handshake = answer_handshake(scope["headers"], mount.subprotocols, request.id.encode())
    socket = RawWebSocket(host.limits)
    connection.hand_over(socket, handshake.head)
    request.status = SWITCHING
    try:
        socket.listen(mount.open(request, socket, handshake.subprotocol))
    except BaseException:
        socket.abort()
        raise


async def open_over_asgi(
    mount: WebSocketMount,
    host: TransportHost,
    request: MountedRequest,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Open a WebSocket in another server, and serve it until it ends."""
    chosen = choose_subprotocol(scope.get("subprotocols", ()), mount.subprotocols)
    await send({"type": "websocket.accept", "subprotocol": chosen})
    socket = AsgiWebSocket(host.limits)
    await socket.run(mount.open(request, socket, chosen), receive, send)


async def refuse_over_asgi(scope: Scope, send: Send, error: WireError, request_id: bytes) -> None:
    """Refuse a WebSocket: with an HTTP response if the server can send one, else with a code."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        code = _TRY_AGAIN_LATER if isinstance(error, ServiceUnavailable) else CloseCode.POLICY
        await send({"type": "websocket.close", "code": code, "reason": error.name})
        return
    answer = to_answer(error, request_id.decode())
    body = msgspec.json.encode(answer.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *answer.headers,
    ]
    start = {"type": "websocket.http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})
