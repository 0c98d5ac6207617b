"""Frames over bare TCP, one JSON document per line."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nexxus.errors import StartupError
from nexxus.interfaces.transport import (
    CloseCode,
    DeviceConnection,
    Framing,
    ServerFrame,
    Transport,
    TransportHost,
    Wire,
)
from nexxus_lines.settings import LineSettings


class LineFraming(Framing):
    """Writes each frame as a line; compact JSON contains no line breaks."""

    def frame(self, frame: ServerFrame) -> bytes:
        whole: dict[str, Any] = {"event": frame.event, "data": msgspec.Raw(frame.data)}
        if frame.ref is not None:
            whole["ref"] = frame.ref
        return msgspec.json.encode(whole) + b"\n"


FRAMING = LineFraming()


class LineTransport(Transport):
    """Listens on its own port. Once started, `port` is the actual port."""

    def __init__(self, settings: LineSettings) -> None:
        self.port = settings.port
        self._host = settings.host
        self._server: asyncio.Server | None = None

    async def start(self, host: TransportHost) -> None:
        if not host.may_listen:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Line(host), self._host, self.port)
        except OSError as error:
            raise StartupError(
                f"cannot listen on {self._host} port {self.port}: {error.strerror}; "
                "choose another with plugins.lines.port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class Line(asyncio.Protocol, Wire):
    """One connection and its wire."""

    def __init__(self, host: TransportHost) -> None:
        self._host = host
        self._rest = b""
        self._socket: asyncio.Transport
        self._connection: DeviceConnection | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport  # type: ignore[assignment]
        if self._host.is_accepting:
            self._connection = self._host.accept(self, FRAMING)
        else:
            self.close(CloseCode.GOING_AWAY, "this node takes no more connections")

    def data_received(self, data: bytes) -> None:
        if self._connection is None:
            return
        self._connection.heard()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._connection.received(line)
        if len(self._rest) > self._host.limits.frame:
            self._connection.close(CloseCode.TOO_BIG, f"over {self._host.limits.frame} bytes")

    def eof_received(self) -> None:
        if self._connection is not None:
            self._connection.closed_by_peer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connection.lost()

    # Called by the host

    def write(self, frames: bytes) -> bool:
        if self._socket.get_write_buffer_size() > self._host.limits.send_buffer:
            return False
        self._socket.write(frames)
        return True

    def close(self, code: int, reason: str) -> None:
        data = msgspec.json.encode({"code": int(code), "reason": reason})
        self._socket.write(FRAMING.frame(ServerFrame("close", data)))
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        if not self._socket.is_closing():
            self._socket.resume_reading()
