"""uvicorn's HTTP protocol, adapted to Nexxus."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from nexxus.errors import InvalidParameters
from nexxus.interfaces.http_connection import EXTENSION, Heir

_FIRST_REQUEST_WITHIN: Final = 1.0
"""Seconds in which a new connection must send its request when the server stops."""

_EARLY_BYTES: Final = 64 * 1024
"""The most bytes that may follow an upgrade request before it is answered."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with four differences.

    A response is written in one piece, parsing errors have the API's format, a stopping server
    still answers clients that have just connected, and the application may take over the
    connection: this class is a `nexxus.interfaces.http_connection.HttpConnection`. Until then, an
    upgrade request is handled like any other request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin serving a connection."""
        super().connection_made(transport)
        self._answers = _Answers(transport)
        self.transport = cast("asyncio.Transport", self._answers)
        self._is_stopping = False
        self._running: RequestResponseCycle | None = None
        self._extensions = {EXTENSION: self}
        self._early: bytearray | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel pending requests, because the socket is closed."""
        super().connection_lost(exc)
        self._extensions.clear()  # breaks a reference cycle

    def data_received(self, data: bytes) -> None:
        """Receive requests, split in any way."""
        if self._early is not None:
            self._keep(data)
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin reading a request."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]

    def on_headers_complete(self) -> None:
        """Begin answering a request."""
        super().on_headers_complete()
        if self.cycle is not None and (self._is_stopping or self.parser.should_upgrade()):
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Note that an upgrade request has been parsed; the following bytes are not HTTP."""
        self._early = bytearray()

    def _keep(self, data: bytes) -> None:
        assert self._early is not None
        self._early += data
        if len(self._early) > _EARLY_BYTES:
            self._answers.transport.abort()

    def shutdown(self) -> None:
        """Answer the current request, then close.

        A connection without a request may have been opened just before the port was closed. Its
        request may be on the way, and the client could not know whether it was received.
        """
        if self.cycle is not None:
            super().shutdown()
            return
        self._is_stopping = True
        self.loop.call_later(_FIRST_REQUEST_WITHIN, self._close_if_unused)

    def _close_if_unused(self) -> None:
        if self.cycle is None:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Continue with the connection's next request."""
        self._answers.end_one()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not valid HTTP, and close."""
        body = msgspec.json.encode(
            {**InvalidParameters(msg).to_wire(), "requestId": os.urandom(12).hex()}
        )
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    # Called by the application

    def begin_endless_answer(self) -> None:
        """See `HttpConnection.begin_endless_answer`."""
        if self._running is not None:
            self._running.chunked_encoding = False
            self._running.keep_alive = False

    def hand_over(self, heir: Heir, head: bytes = b"") -> None:
        """See `HttpConnection.hand_over`."""
        cycle, transport = self._running, self._answers.transport
        if cycle is None or cycle.disconnected or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        self._unset_keepalive_if_required()
        self._answers.end_one()
        if head:
            transport.write(head)
        cycle.response_started = cycle.response_complete = True
        self.pipeline.clear()
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.connections.discard(self)
        early, self._early = self._early, None
        self._running = self.cycle = None  # type: ignore[assignment]
        self.parser = None  # type: ignore[assignment]
        self._extensions.clear()
        heir.take(transport, self.connections)
        transport.set_protocol(heir)
        if early:
            self.loop.call_soon(heir.data_received, bytes(early))


class _Answers:
    """The transport that uvicorn writes to: holds each response's head until its body begins.

    uvicorn writes the two separately, and uvloop makes a system call for each. Together they cost
    23 µs of CPU instead of 31 µs, and the client gets one packet instead of two.
    """

    __slots__ = ("_head", "_is_begin", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._head = b""
        self._is_begin = True

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif self._is_begin and not data.startswith(b"HTTP/1.1 100 "):
            self._head, self._is_begin = data, False
            return
        self.transport.write(data)

    def end_one(self) -> None:
        """End the response; the next bytes written are the head of another one."""
        if self._head:  # a response without a body
            self.write(b"")
        self._is_begin = True

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def close(self) -> None:
        self.end_one()
        self.transport.close()
