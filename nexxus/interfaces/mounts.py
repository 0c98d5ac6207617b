"""Mounts: what a transport serves on the node's HTTP ports, beside the API.

A request at a mount is one of the API's: it is authenticated, counted against the rate limit,
measured, logged with its request id, and what goes wrong with it is answered in the API's words
and with its headers. A mount says which of that it does without. ::

    @property
    def mounts(self):
        return [HttpMount("/sse", self._serve, summary="Follow channels as server-sent events")]

    async def _serve(self, request: MountRequest) -> None:
        stream = await request.stream(b"text/event-stream", lost=…)
        connection = self._host.accept(MyWire(stream), FRAMING)
        await connection.register(request.identity)

The API's port serves mounts, and so does the gateway's own, whatever server they run in.
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
    """Who finds out whose request it is.

    A request proves itself with ``Authorization: Bearer <access token>`` and ``nxx-app-id``, or
    with ``?ticket=``, which names the application, too.
    """

    FIRST = auto()
    """The API, before the mount is called: `MountRequest.identity` is set."""

    BY_MOUNT = auto()
    """The mount, by `MountRequest.authenticate`."""

    NONE = auto()
    """Nobody: the transport's own protocol does. The request counts for its address."""


class MountAnswer(msgspec.Struct, frozen=True):
    """A whole answer. `headers` come in addition to those that the API gives every answer."""

    status: int
    body: bytes = b""
    media_type: bytes = b"application/json"
    headers: Headers = ()


class Stream(ABC):
    """The body of an answer that goes on for as long as both sides want. Nothing here may block."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> bool:
        """Send bytes, without waiting; the same object may be written to any number of streams.

        Returns False, and sends nothing, if more than `TransportLimits.send_buffer` bytes are
        still unsent. Not to be called after `end`.
        """

    @abstractmethod
    def end(self, last: bytes = b"") -> None:
        """End the answer after what was written, and after `last`, however much is unsent."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection at once; may be called twice, and after its end."""


class MountRequest(Protocol):
    """A request at a mount. Header names are in lower case; of a repeated one the last counts."""

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
        """Whose request it is, once it is authenticated."""

    async def authenticate(self) -> Identity:
        """Return whose request it is; for `Authentication.BY_MOUNT`, called once.

        Raises `NoAuthPresent`, `UserTokenExpired` or `UserAuthenticationFailed` (401),
        `InvalidParameters` where the application is not named, and `TooManyRequests`.
        """

    async def read(self) -> bytes:
        """Return the whole body; raise `PayloadTooLarge` beyond ``limits.body``."""

    async def gone(self) -> None:
        """Return when the client has disconnected; for a handler that waits before it answers.

        Not during `read`, nor once a `stream` has begun. Cancelling has no effect on the request.
        """

    async def stream(
        self, media_type: bytes, *, headers: Headers = (), lost: Callable[[], None]
    ) -> Stream:
        """Begin an answer (200) without an end, and return what its body is written to.

        The handler then returns None; the stream lives on, and its end is the connection's. `lost`
        is called once, when the connection is gone, whoever ended it. Raises `ConnectionResetError`
        if it is gone already; a handler lets that pass.
        """


class WebSocket(Wire):
    """An open WebSocket: a `Wire` that can be given to `TransportHost.accept` as it is.

    What is written are whole messages, made by `nexxus.toolkit.web_socket_frames`; pings are
    sent and answered.
    """

    __slots__ = ()

    wants_pings = True
    answers_pings = True


class WebSocketListener(Protocol):
    """What a transport makes of what one WebSocket brings."""

    def heard(self) -> None:
        """The peer has sent something, of whatever kind."""

    def received(self, message: bytes, *, is_text: bool) -> None:
        """A whole message, of `TransportLimits.frame` bytes at most. Text is valid UTF-8."""

    def closed_by_peer(self) -> None:
        """The peer has said goodbye, or has broken the protocol: it reads nothing more."""

    def lost(self) -> None:
        """The connection is gone; the last call."""


class HttpMount(msgspec.Struct, frozen=True):
    """A route for HTTP requests, at exactly `path`, with or without a slash at its end.

    `handler` returns the answer, None if it has begun a `MountRequest.stream`; it raises a
    `WireError` for an error of the contract. It is also called while the host does not accept
    connections (`TransportHost.is_accepting`): one that would open a connection then raises
    `ServiceUnavailable`. With `reconnects`, a browser that comes back by itself (with
    ``Last-Event-ID``) may use its ticket again: a cookie proves that it is the browser that used it
    first. `openapi` adds to the route's description in ``/openapi.json``.

    A mount that is not `limited` is not counted against ``limits.requests_per_second``, one that
    is not `measured` is not among the figures of requests.
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

    A WebSocket is opened while the host accepts connections, for a browser only from an origin
    that ``api.cors_origins`` names where that is set, with the first of the client's
    subprotocols that is one of `subprotocols`; without a common one it has none. `open` is
    called when it is open, with the subprotocol, and returns who listens.

    `gateway_path` is where it is on the gateway's own port, if not at `path`.
    """

    path: str
    open: Callable[[MountRequest, WebSocket, str | None], WebSocketListener]
    subprotocols: tuple[str, ...] = ()
    gateway_path: str = ""
    authentication: Authentication = Authentication.NONE
    limited: bool = True
    measured: bool = True
