"""The WebSocket on a connection to Nexxus's own port.

Incoming data is parsed by the sans-I/O protocol of `websockets`: fragments, control frames, limits,
the closing handshake. Outgoing messages were encoded once for all receivers and are written to the
socket as they are; only control frames are encoded here.
"""

from __future__ import annotations

import logging
from typing import Final

from websockets.frames import CloseCode as ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from nexxus.interfaces.http_connection import Heir
from nexxus.interfaces.mounts import WebSocket, WebSocketListener
from nexxus.interfaces.transport import CloseCode, TransportLimits
from nexxus.toolkit.web_socket_frames import PING

_quiet: Final = logging.getLogger("nexxus.websockets")
_quiet.setLevel(logging.ERROR)  # Protocol violations by peers are not worth logging.


class RawWebSocket(Heir, WebSocket):
    """One WebSocket, after its handshake."""

    __slots__ = (
        "_is_reading_paused",
        "_is_text",
        "_limits",
        "_listener",
        "_message",
        "_parser",
    )

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._listener: WebSocketListener | None = None
        self._parser = Protocol(Side.SERVER, state=OPEN, max_size=limits.frame, logger=_quiet)
        self._message: bytearray | None = None
        self._is_text = False
        self._is_reading_paused = False

    def listen(self, listener: WebSocketListener) -> None:
        """Pass all received messages to `listener`; must be called before any can arrive."""
        self._listener = listener

    # Called by the event loop and the server

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        super().connection_lost(exc)
        if self._listener is not None:
            self._listener.lost()

    def shutdown(self) -> None:
        """Close because the server stops."""
        self.close(CloseCode.GOING_AWAY, "going away")

    def data_received(self, data: bytes) -> None:
        """Receive frames, split in any way."""
        listener, parser = self._listener, self._parser
        assert listener is not None
        listener.heard()
        parser.receive_data(data)
        for event in parser.events_received():
            if isinstance(event, Frame):
                self._take_frame(listener, event)
        self._write_control()

    def _take_frame(self, listener: WebSocketListener, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._pass_on(listener, bytes(frame.data))
            else:
                self._message = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._message is not None:
            self._message += frame.data
            if frame.fin:
                message, self._message = self._message, None
                self._pass_on(listener, bytes(message))

    def _pass_on(self, listener: WebSocketListener, message: bytes) -> None:
        parser = self._parser
        if self._is_text and not _is_utf8(message):
            parser.fail(ProtocolError.INVALID_DATA, "text that is not UTF-8")
        elif parser.state is OPEN or parser.close_rcvd is not None:
            # A message before a close frame is valid, even if both arrived together.
            listener.received(message, is_text=self._is_text)

    def _write_control(self) -> None:
        """Send the protocol's responses: pongs and the close frame."""
        for data in self._parser.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self._finish(is_peer_done=self._parser.close_rcvd is not None)

    def _finish(self, *, is_peer_done: bool) -> None:
        """Close the connection once all written data has been sent.

        If the peer is still sending, for example a message that is too big, closing would reset the
        connection, and the peer would not learn the reason. So its data is read and discarded by
        the parser until it has finished or the closing timeout ends.
        """
        transport = self.transport
        if not is_peer_done and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        if self._listener is not None:
            self._listener.closed_by_peer()

    # `Wire`

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        transport = self.transport
        if transport.get_write_buffer_size() > self._limits.send_buffer:
            return False
        transport.write(frames)
        return True

    def ping(self) -> None:
        """See `Wire.ping`."""
        if not self.transport.is_closing():
            self.transport.write(PING)

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        if self._parser.state is OPEN:
            self._parser.send_close(code, reason)
            self._write_control()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self.transport.abort()

    def pause_reading(self) -> None:
        """See `Wire.pause_reading`."""
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """See `Wire.resume_reading`."""
        if self._is_reading_paused:
            self._is_reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
