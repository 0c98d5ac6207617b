"""The WebSocket over ASGI, for an application that is mounted in somebody else's server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from nexxus.gateway.connection import Connection
from nexxus.gateway.frames import SUBPROTOCOLS, Encoding, choose_subprotocol, payload_of
from nexxus.gateway.gateway import Gateway
from nexxus.gateway.handshake import is_path

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_REFUSED: Final = 1008
_LATER: Final = 1013
_TOO_BIG: Final = 1009


class GatewayApp:
    """An ASGI application for the scope ``websocket``, at `path` below where it is mounted."""

    def __init__(self, gateway: Gateway, path: str = "/ws") -> None:
        self._gateway = gateway
        self._path = path

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends. Another path is refused before it is opened."""
        await receive()  # websocket.connect
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not is_path(path, self._path):
            await send({"type": "websocket.close", "code": _REFUSED})
            return
        if not self._gateway.is_accepting:
            await send({"type": "websocket.close", "code": _LATER})
            return
        chosen = choose_subprotocol(scope.get("subprotocols", ()))
        await send({"type": "websocket.accept", "subprotocol": chosen})
        encoding = SUBPROTOCOLS.get(chosen or "", Encoding.JSON)
        wire = AsgiWire(encoding, self._gateway.settings.send_buffer)
        connection = self._gateway.accept(wire, encoding)
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(wire, connection, receive))
                writer = group.create_task(wire.run(send))
                # Whichever ends first ends the other: the peer has left, or has been closed.
                await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                reader.cancel()
                writer.cancel()
        finally:
            connection.lost()

    async def _read(self, wire: AsgiWire, connection: Connection, receive: Receive) -> None:
        limit = self._gateway.settings.frame
        while True:
            await wire.may_read.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                connection.closed_by_peer()
                return
            text = message.get("text")
            payload = message.get("bytes") or b"" if text is None else text.encode()
            if len(payload) > limit:
                connection.close(_TOO_BIG, f"over {limit} bytes")
            else:
                connection.received(payload, text is not None)


class AsgiWire:
    """A `Wire` whose frames leave as ASGI messages; the server around it speaks the protocol."""

    answers_pings = False

    def __init__(self, encoding: Encoding, send_buffer: int) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._encoding = encoding
        self._send_buffer = send_buffer
        self._waiting: list[bytes] = []
        self._size = 0
        self._closing: Message | None = None
        self._is_aborted = False
        self._has_work = asyncio.Event()

    async def run(self, send: Send) -> None:
        """Send what is written until the connection is closed."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._waiting and not self._is_aborted:
                waiting, self._waiting = self._waiting, []
                for frames in waiting:
                    await self._send_all(frames, send)
                    self._size -= len(frames)
            if self._is_aborted:
                return
            if self._closing is not None:
                await send(self._closing)
                return

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        if self._size > self._send_buffer:
            return False
        self._waiting.append(frames)
        self._size += len(frames)
        self._has_work.set()
        return True

    def ping(self) -> None:
        """The server around it does."""

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        self._closing = {"type": "websocket.close", "code": code, "reason": reason}
        self._has_work.set()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self._is_aborted = True
        self._has_work.set()

    def pause_reading(self) -> None:
        """See `Wire.pause_reading`."""
        self.may_read.clear()

    def resume_reading(self) -> None:
        """See `Wire.resume_reading`."""
        self.may_read.set()

    async def _send_all(self, frames: bytes, send: Send) -> None:
        rest = memoryview(frames)
        while rest:
            payload, rest = payload_of(rest)
            if self._encoding is Encoding.JSON:
                await send({"type": "websocket.send", "text": str(payload, "utf-8")})
            else:
                await send({"type": "websocket.send", "bytes": bytes(payload)})
