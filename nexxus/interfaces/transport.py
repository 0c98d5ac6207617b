"""The transport: what carries devices' connections, such as WebSockets, SSE or MQTT.

Nexxus knows devices, channels, deliveries, resuming and patience; a transport knows sockets. For
every peer that connects, it gives the host a `Wire` to write to and a `Framing` that says what a
frame looks like there, gets a `DeviceConnection`, and passes on what the peer sends::

    connection = host.accept(wire, framing)
    connection.received(b'{"event": "register", "data": {"token": "…"}}')   # frames as they are
    status, data = await connection.request("create", {"type": "task", …})  # or in its own words
    …
    connection.lost()                                                       # exactly once

A client's frames and a server's are those of the wire contract, whatever carries them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Protocol as AsyncioProtocol
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from enum import Enum, IntEnum
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import msgspec

from nexxus.errors import WireError
from nexxus.interfaces.logger import Logger

AsgiMessage: TypeAlias = MutableMapping[str, Any]
AsgiReceive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
AsgiSend: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]


class Encoding(Enum):
    """How the values in frames are written."""

    JSON = "json"
    MSGPACK = "msgpack"


SUBPROTOCOLS: Final = {"nexxus.v1.json": Encoding.JSON, "nexxus.v1.msgpack": Encoding.MSGPACK}
"""The encodings by the names that peers choose them by, such as in a WebSocket's handshake."""


class CloseCode(IntEnum):
    """Why a connection is closed by the host, in the numbers of the wire contract."""

    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    LOGGED_OUT = 4001
    TOKEN_EXPIRED = 4002
    REPLACED = 4003
    SLOW_CONSUMER = 4008


class ServerFrame(msgspec.Struct, frozen=True):
    """A frame on its way to a peer. `data` is encoded as the `Framing.encoding` says.

    `ref` is that of the client's frame which it answers. `cursor` is the one in `data`, for
    transports that have a place of their own for it, such as SSE's ``id``.
    """

    event: str
    data: bytes
    ref: str | None = None
    cursor: str | None = None


class Framing(ABC):
    """What frames look like to one kind of peer.

    A transport has one instance per kind, for all its connections of that kind: a frame that is
    for many is made once per instance, and the same bytes are written to all.
    """

    encoding: ClassVar[Encoding] = Encoding.JSON

    @abstractmethod
    def frame(self, frame: ServerFrame) -> bytes:
        """The frame in bytes, complete and delimited: frames are joined and written at once.

        Empty where this kind of peer is not told.
        """


class Wire(ABC):
    """The way to one peer. Made by the transport, called by the host; nothing here may block."""

    __slots__ = ()

    wants_pings: ClassVar[bool] = False
    """`ping` is to be called every `gateway.ping_interval`."""

    answers_pings: ClassVar[bool] = False
    """The peer's signs of life come to `DeviceConnection.heard`, and it is aborted without any
    for `gateway.ping_timeout`. False where somebody else watches over the peer."""

    @abstractmethod
    def write(self, frames: bytes) -> bool:
        """Send whole frames, without waiting.

        False, and nothing was sent, when more than `TransportLimits.send_buffer` bytes wait
        unsent already: the peer is then closed with `CloseCode.SLOW_CONSUMER`.
        """

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """End the connection after what was written, telling the peer why where that is possible.

        Nothing is written later. `DeviceConnection.lost` has to follow, soon; else comes `abort`.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection without another word; may be called twice, and after the end."""

    def ping(self) -> None:
        """Ask the peer for a sign of life, or give it one."""
        return

    def pause_reading(self) -> None:
        """Take no more from the peer: it has too much unanswered. May be called twice."""
        return

    def resume_reading(self) -> None:
        """Take more from the peer again. May be called twice, and without a pause."""
        return


class DeviceConnection(Protocol):
    """One peer, as the host sees it. All of it is for the event loop's own thread."""

    @property
    def id(self) -> str:
        """Its name in the registry and the log."""

    def heard(self) -> None:
        """The peer has shown a sign of life, of whatever kind."""

    def received(self, frame: bytes) -> None:
        """The peer has sent a frame in its encoding; what answers it is written to the wire.

        Frames take effect in the order in which they come, `request` included.
        """

    def refuse(self, error: WireError) -> None:
        """The peer has sent what is no frame at all: it gets an ``error`` frame, in its turn."""

    async def request(self, event: str, data: Any) -> tuple[int, Any]:
        """Do what a client's frame would, for transports with words of their own.

        `event` and `data` are those of the frame; no ``ref`` is needed. Returns the status and
        the ``data`` of the answer, which is not written to the wire; whatever else follows from
        it is, such as the ``register`` and ``resume`` frames. Raises the `WireError` instead of
        an ``error`` or a refusal, and `ServiceUnavailable` when the connection has ended.
        """

    def close(self, code: int, reason: str) -> None:
        """Close because the transport wants so, such as for what is `TOO_BIG`."""

    def closed_by_peer(self) -> None:
        """The peer has said goodbye: nothing more is sent; what it asked for before is done."""

    def lost(self) -> None:
        """The connection is gone. The last call; later ones change nothing."""


class TransportLimits(msgspec.Struct, frozen=True):
    """What a transport has to keep to. Bytes.

    A peer's frame of more than `frame` bytes is refused with `CloseCode.TOO_BIG`; see
    `Wire.write` for `send_buffer`.
    """

    frame: int
    send_buffer: int


class TransportHost(Protocol):
    """What a transport gets of the node that it works for."""

    @property
    def transport(self) -> str:
        """The transport's name: in the configuration, in presences, and in the node's queue."""

    @property
    def node(self) -> str:
        """The node's id."""

    @property
    def limits(self) -> TransportLimits:
        """What connections may take."""

    @property
    def logger(self) -> Logger:
        """Where to say what went wrong."""

    @property
    def may_listen(self) -> bool:
        """Whether the node has the role ``gateway``: else it serves routes, but no other port."""

    @property
    def is_accepting(self) -> bool:
        """Whether another connection is welcome; it is not while draining, or beyond
        ``gateway.max_connections``."""

    def accept(self, wire: Wire, framing: Framing) -> DeviceConnection:
        """A connection for a peer that may be written to from now on.

        It has to register within ``gateway.register_timeout``.
        """


class Transport(ABC):
    """A way to be connected, made from its settings by `Adapter.create`."""

    @abstractmethod
    async def start(self, host: TransportHost) -> None:
        """Get ready to accept connections; on return its own ports, if any, are open.

        Raises `StartupError` where it cannot, such as when a port is in use.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Close its ports and let go of everything; may be called twice, and without a start.

        The host has been drained by then: no connection is left, and none is accepted.
        """

    @property
    def http_routes(self) -> Mapping[str, AsgiApp]:
        """ASGI applications for HTTP on the API's port, by path; asked for after `start`.

        An application gets every request whose path is the one named here, or lies below it.
        """
        return {}

    @property
    def websocket_routes(self) -> Mapping[str, AsgiApp]:
        """ASGI applications for WebSockets on the API's port, by path, where the server around
        it speaks ASGI (a Nexxus that is embedded)."""
        return {}

    def upgrade(self, path: str) -> type[AsyncioProtocol] | None:  # noqa: ARG002
        """What takes over a connection whose HTTP request asks for an upgrade, on a port where
        `path` is the WebSocket's place; None where the transport has none.

        It is made like uvicorn's WebSocket protocols, and gets the request as its first data.
        """
        return None
