"""Mounts: routes that a transport serves on the node's HTTP ports, beside the API.

A request at a mount is treated like one of the API: it is authenticated, counted against the rate
limit, measured and logged with its request id, and errors are answered in the API's format and with
its headers. A mount may switch off some of that. ::

    @property
    def mounts(self):
        return [HttpMount("/sse", self._serve, summary="Follow channels as server-sent events")]

    async def _serve(self, request: MountRequest) -> None:
        stream = await request.stream(b"text/event-stream", lost=…)
        connection = self._host.accept(MyWire(stream), FRAMING)
        await connection.register(request.identity)

The API's port and the gateway's own port serve mounts, in every HTTP server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Protocol, TypeAlias

import msgspec

from nexxus.domain.identity import Identity
from nexxus.interfaces.transport import Wire

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class Authentication(Enum):
    """Who authenticates a request.

    A request is authenticated by ``Authorization: Bearer <access token>`` and ``nxx-app-id``, or
    by ``?ticket=``, which also identifies the application.
    """

    FIRST = auto()
    """The API, before the mount is called: `MountRequest.identity` is set."""

    BY_MOUNT = auto()
    """The mount, by `MountRequest.authenticate`."""

    NONE = auto()
    """The transport's own protocol. Rate limits count the request for its address."""


class MountAnswer(msgspec.Struct, frozen=True):
    """A complete answer. The API adds its usual headers to `headers`."""

    status: int
    body: bytes = b""
    media_type: bytes = b"application/json"
    headers: Headers = ()


class Stream(ABC):
    """The body of an answer without a fixed end. No method may block."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> bool:
        """Send bytes, without waiting; the same object may be written to any number of streams.

        Returns False, and sends nothing, if more than `TransportLimits.send_buffer` bytes are
        still unsent. Not to be called after `end`.
        """

    @abstractmethod
    def end(self, last: bytes = b"") -> None:
        """End the answer after the unsent bytes and `last`."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection immediately; may be called twice, and after its end."""


class MountRequest(Protocol):
    """A request at a mount. Header names are in lower case; the last of repeated headers counts."""

    @property
    def id(self) -> str:
        """The request's id: in the answer's ``x-request-id``, in errors, in the log."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """The values of each parameter of the query, in their order."""

    @property
    def address(self) -> str:
        """The client's address; empty if the server does not know it."""

    @property
    def identity(self) -> Identity | None:
        """The identity of the authenticated request; None before."""

    async def authenticate(self) -> Identity:
        """Authenticate the request and return its identity; for `Authentication.BY_MOUNT`, once.

        Raises `NoAuthPresent`, `UserTokenExpired` or `UserAuthenticationFailed` (401),
        `InvalidParameters` if the application is not named, and `TooManyRequests`.
        """

    async def read(self) -> bytes:
        """Return the whole body. Raises `PayloadTooLarge` if it exceeds ``limits.body``."""

    async def gone(self) -> None:
        """Return when the client has disconnected; for a handler that waits before it answers.

        Do not call it during `read` or after `stream`. Cancelling has no effect on the request.
        """

    async def stream(
        self, media_type: bytes, *, headers: Headers = (), lost: Callable[[], None]
    ) -> Stream:
        """Begin an answer (200) and return the stream to write its body to.

        The handler then returns None; the stream continues, and when it ends, its connection ends.
        `lost` is called once when the connection has ended for any reason. Raises
        `ConnectionResetError` if it has ended already; a handler need not catch that.
        """


class WebSocket(Wire):
    """An open WebSocket: a `Wire` that can be given to `TransportHost.accept` as it is.

    Write only whole messages, made by `nexxus.toolkit.web_socket_frames`. Pings are sent and
    answered automatically.
    """

    __slots__ = ()

    wants_pings = True
    answers_pings = True


class WebSocketListener(Protocol):
    """Handles the input of one WebSocket."""

    def heard(self) -> None:
        """Called when the peer has sent anything."""

    def received(self, message: bytes, *, is_text: bool) -> None:
        """Called with a message of at most `TransportLimits.frame` bytes. Text is valid UTF-8."""

    def closed_by_peer(self) -> None:
        """Called when the peer has closed, or has violated the protocol: it reads nothing more."""

    def lost(self) -> None:
        """Called last, when the connection has ended."""


class HttpMount(msgspec.Struct, frozen=True):
    """A route for HTTP requests, at exactly `path`, with or without a slash at its end.

    `handler` returns the answer, or None if it has begun a `MountRequest.stream`; it raises a
    `WireError` for an error of the wire contract. It is also called while the host does not accept
    connections (`TransportHost.is_accepting`): a handler that opens connections then raises
    `ServiceUnavailable`. With `reconnects`, a browser that reconnects (with ``Last-Event-ID``) may
    use its ticket again: a cookie proves that the same browser used it first. `openapi`
    adds to the route's description in ``/openapi.json``.

    Requests are counted against ``limits.requests_per_second`` if `limited`, and in the metrics of
    requests if `measured`.
    """

    path: str
    handler: Callable[[MountRequest], Awaitable[MountAnswer | None]]
    methods: tuple[str, ...] = ("GET",)
    authentication: Authentication = Authentication.FIRST
    reconnects: bool = False
    limited: bool = True
    measured: bool = True
    summary: str = ""
    openapi: Mapping[str, Any] | None = None


class WebSocketMount(msgspec.Struct, frozen=True):
    """A route for WebSockets, at exactly `path`, with or without a slash at its end.

    A WebSocket is opened while the host accepts connections. If ``api.cors_origins`` is set, a
    browser's origin must be in it. The subprotocol is the first of the client's that is in
    `subprotocols`, or none. `open` is called with it when the WebSocket is open, and returns the
    listener.

    `gateway_path` is the path on the gateway's own port, if it is not `path`.
    """

    path: str
    open: Callable[[MountRequest, WebSocket, str | None], WebSocketListener]
    subprotocols: tuple[str, ...] = ()
    gateway_path: str = ""
    authentication: Authentication = Authentication.NONE
    limited: bool = True
    measured: bool = True
