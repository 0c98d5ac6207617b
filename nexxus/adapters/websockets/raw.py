"""The WebSocket on a transport that uvicorn hands over after the HTTP upgrade.

What comes in is parsed by the sans-I/O protocol of `websockets`: fragments, control frames,
limits, the closing handshake. What goes out, but for control frames, are frames that were
encoded once for everybody, written to the transport as they are.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from websockets.frames import CloseCode as ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from nexxus.adapters.websockets.framing import PING
from nexxus.adapters.websockets.handshake import answer_upgrade
from nexxus.adapters.websockets.messages import pass_on
from nexxus.interfaces.transport import (
    CloseCode,
    DeviceConnection,
    Framing,
    TransportHost,
    Wire,
)

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

_quiet: Final = logging.getLogger("nexxus.websockets")
_quiet.setLevel(logging.ERROR)  # A peer that breaks the protocol is no news.


def websocket_protocol(host: TransportHost, path: str) -> type[asyncio.Protocol]:
    """The class to give to uvicorn as ``ws``: serves `host` at `path`, refuses other paths."""
    return type(
        "HostedWebSocket",
        (TransportWebSocket,),
        {"__slots__": (), "host": host, "path": path},
    )


class TransportWebSocket(asyncio.Protocol, Wire):
    """One WebSocket from its upgrade request on; the wire of one connection."""

    __slots__ = (
        "_connection",
        "_connections",
        "_framing",
        "_is_text",
        "_loop",
        "_message",
        "_parser",
        "_reading_paused",
        "_transport",
    )

    host: ClassVar[TransportHost]
    path: ClassVar[str]
    wants_pings: ClassVar[bool] = True
    answers_pings: ClassVar[bool] = True

    def __init__(
        self,
        config: Config,  # noqa: ARG002 - uvicorn's signature
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = _loop or asyncio.get_running_loop()
        self._connections = server_state.connections
        self._transport: asyncio.Transport | None = None
        self._parser: Protocol | None = None
        self._connection: DeviceConnection | None = None
        self._framing: Framing | None = None
        self._message: bytearray | None = None
        self._is_text = False
        self._reading_paused = False

    # What the event loop and uvicorn call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport; the upgrade request follows as the first data."""
        # uvloop's transports are none of asyncio's classes, but have all their methods.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is closed."""
        self._connections.discard(self)
        if self._connection is not None:
            self._connection.lost()

    def shutdown(self) -> None:
        """Close because the HTTP server around it stops."""
        if self._connection is not None:
            self._connection.close(CloseCode.GOING_AWAY, "going away")
        elif self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """First the upgrade request, whole; then frames, in any pieces."""
        parser = self._parser
        if parser is None:
            self._open(data)
            return
        connection = self._connection
        assert connection is not None
        connection.heard()
        parser.receive_data(data)
        for event in parser.events_received():
            if isinstance(event, Frame):
                self._take(parser, connection, event)
        self._write_control(parser)

    def _open(self, request: bytes) -> None:
        assert self._transport is not None
        host = self.host
        handshake = answer_upgrade(request, path=self.path, is_accepting=host.is_accepting)
        self._transport.write(handshake.response)
        if handshake.framing is None:
            self._transport.close()
            return
        self._parser = Protocol(Side.SERVER, state=OPEN, max_size=host.limits.frame, logger=_quiet)
        self._framing = handshake.framing
        self._connection = host.accept(self, handshake.framing)

    def _take(self, parser: Protocol, connection: DeviceConnection, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._pass_on(parser, connection, bytes(frame.data))
            else:
                self._message = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._message is not None:
            self._message += frame.data
            if frame.fin:
                message, self._message = self._message, None
                self._pass_on(parser, connection, bytes(message))

    def _pass_on(self, parser: Protocol, connection: DeviceConnection, message: bytes) -> None:
        if self._is_text and not _is_utf8(message):
            parser.fail(ProtocolError.INVALID_DATA, "text that is not UTF-8")
        elif parser.state is OPEN or parser.close_rcvd is not None:
            # What came before a close frame counts, even if both arrived at once.
            assert self._framing is not None
            pass_on(connection, self._framing, message, is_text=self._is_text)

    def _write_control(self, parser: Protocol) -> None:
        """Send what the protocol answers: pongs, and the end."""
        transport = self._transport
        assert transport is not None
        for data in parser.data_to_send():
            if data:
                transport.write(data)
            else:
                self._finish(transport, is_peer_done=parser.close_rcvd is not None)

    def _finish(self, transport: asyncio.Transport, *, is_peer_done: bool) -> None:
        """We have said all that we will: close once what was written has left.

        A peer that is still sending, a message that is too big, say, would have its connection
        reset by that, and never read why. So what it sends is read, and dropped by the parser,
        until it is done, or the time for closing is over.
        """
        if not is_peer_done and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        if self._connection is not None:
            self._connection.closed_by_peer()

    # The connection's wire

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        transport = self._transport
        assert transport is not None
        if transport.get_write_buffer_size() > self.host.limits.send_buffer:
            return False
        transport.write(frames)
        return True

    def ping(self) -> None:
        """See `Wire.ping`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(PING)

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        parser = self._parser
        if parser is not None and parser.state is OPEN:
            parser.send_close(code, reason)
            self._write_control(parser)

    def abort(self) -> None:
        """See `Wire.abort`."""
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """See `Wire.pause_reading`."""
        if self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `Wire.resume_reading`."""
        if self._transport is not None and self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
