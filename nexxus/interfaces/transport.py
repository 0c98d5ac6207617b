"""The transport: what carries devices' connections, such as WebSockets, SSE or MQTT.

Nexxus handles devices, channels, deliveries, resuming and time limits; a transport handles sockets.
For every peer that connects, the transport gives the host a `Wire` to write to and a `Framing` that
encodes frames. It gets a `DeviceConnection`, to which it passes what the peer sends::

    connection = host.accept(wire, framing)
    connection.received(b'{"event": "register", "data": {"token": "…"}}')   # frames as they are
    status, data = await connection.request("create", {"type": "task", …})  # or in its own words
    …
    connection.lost()                                                       # exactly once

A transport listens on its own ports, serves routes on the node's HTTP ports
(`nexxus.interfaces.mounts`), or does both. The frames are those of the wire contract on every
transport.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import msgspec

from nexxus.domain.identity import Identity
from nexxus.errors import WireError
from nexxus.interfaces.logger import Logger

if TYPE_CHECKING:
    from nexxus.interfaces.mounts import HttpMount, WebSocketMount


class Encoding(Enum):
    """How the values in frames are encoded."""

    JSON = "json"
    MSGPACK = "msgpack"


SUBPROTOCOLS: Final = {"nexxus.v1.json": Encoding.JSON, "nexxus.v1.msgpack": Encoding.MSGPACK}
"""The encodings by the names that peers choose them by, such as in a WebSocket's handshake."""


class CloseCode(IntEnum):
    """Why the host closes a connection, in the numbers of the wire contract."""

    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    LOGGED_OUT = 4001
    TOKEN_EXPIRED = 4002
    REPLACED = 4003
    SLOW_CONSUMER = 4008


class ServerFrame(msgspec.Struct, frozen=True):
    """A frame on its way to peers. `data` is encoded as `Framing.encoding` says.

    `ref` is the ``ref`` of the client's frame that this one answers. `channels` are the ids of the
    channels that the frame is for. `cursor` is the cursor from which a peer can resume after it has
    received the frame. They are given separately so that a transport with its own place for them,
    such as MQTT's topics or the ``id`` of SSE, need not decode `data`.
    """

    event: str
    data: bytes
    ref: str | None = None
    cursor: str | None = None
    channels: tuple[str, ...] = ()


class Framing(ABC):
    """Encodes frames for one kind of peer.

    A transport has one instance per kind, shared by all its connections of that kind: a frame for
    many peers is encoded once per instance, and the same bytes are written to all of them.
    """

    encoding: ClassVar[Encoding] = Encoding.JSON

    joins: ClassVar[bool] = True
    """Whether frames may be joined: all frames of one turn of the event loop are then sent with one
    `Wire.write`. Otherwise each frame is written separately, as the same object that `frame`
    returned, which may be a subclass of `bytes` with further attributes for the wire."""

    @abstractmethod
    def frame(self, frame: ServerFrame) -> bytes:
        """Return the frame in bytes, complete and delimited.

        Returns empty bytes if peers of this kind do not get such a frame.
        """


class Wire(ABC):
    """The connection to one peer. The transport makes it and the host calls it; no method may
    block."""

    __slots__ = ()

    wants_pings: ClassVar[bool] = False
    """Whether the host calls `ping` regularly."""

    ping_interval: float | None = None
    """Seconds between two pings; None for `gateway.ping_interval`."""

    answers_pings: ClassVar[bool] = False
    """Whether the transport reports signs of life to `DeviceConnection.heard`. The host then aborts
    a peer that shows none for `gateway.ping_timeout`. False if something else detects dead
    peers."""

    @abstractmethod
    def write(self, frames: bytes) -> bool:
        """Send whole frames, without waiting.

        Returns False, and sends nothing, if more than `TransportLimits.send_buffer` bytes are
        still unsent: the peer is then closed with `CloseCode.SLOW_CONSUMER`.
        """

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Close the connection after sending what was written, with the reason if the protocol can.

        Nothing is written later. The transport must then call `DeviceConnection.lost`; if it does
        not within some seconds, the host calls `abort`.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection immediately. May be called twice, and after its end."""

    def ping(self) -> None:
        """Ask the peer for a sign of life, or send it one."""
        return

    def pause_reading(self) -> None:
        """Stop reading from the peer, because too much is unanswered. May be called twice."""
        return

    def resume_reading(self) -> None:
        """Continue reading from the peer. May be called twice, and without `pause_reading`
        before."""
        return


class DeviceConnection(Protocol):
    """One peer, as the host sees it. To be used in the event loop's thread only."""

    @property
    def id(self) -> str:
        """Its name in the registry and the log."""

    resume_window: float
    """Seconds for which the subscriptions are kept after the connection is lost. A transport may
    set it until then, such as when a peer says so on leaving. The host limits the value."""

    def heard(self) -> None:
        """Record a sign of life of the peer."""

    def received(self, frame: bytes) -> None:
        """Handle an encoded frame that the peer has sent; answers are written to the wire.

        Frames and calls of `request` and `register` take effect in the order in which they arrive.
        """

    def refuse(self, error: WireError) -> None:
        """Answer input that is not a frame with an ``error`` frame, in order with the others."""

    async def register(self, identity: Identity, *, cursor: str | None = None) -> None:
        """Register the device that a mount has authenticated, and resume if there is a cursor.

        This does what a ``register`` frame does with a token, and a ``resume`` frame with a cursor.
        Without a cursor the device starts without the subscriptions that were kept for it. The
        answering frames are written to the wire. Raises the same errors as `request`; a device
        that tries again has then lost nothing.
        """

    async def request(self, event: str, data: Any) -> tuple[int, Any]:
        """Do what a client's frame would do, for transports whose peers do not send frames.

        `event` and `data` are those of the frame; no ``ref`` is needed. Returns the status and the
        ``data`` of the answer, which is not written to the wire. Frames that follow from it are
        written, such as ``register`` and ``resume``. Raises the `WireError` where a frame would get
        an ``error`` or a refusal, and `ServiceUnavailable` when the connection has ended.
        """

    def send(self, event: str, data: Any, *, cursor: str | None = None) -> None:
        """Send a frame that only this transport has, in order with the host's frames."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection for a reason of the transport, such as `TOO_BIG`."""

    def closed_by_peer(self) -> None:
        """Record that the peer leaves: nothing more is sent, but its earlier requests are done."""

    def lost(self) -> None:
        """Record that the connection is gone. This is the last call; later ones have no effect."""


class TransportLimits(msgspec.Struct, frozen=True):
    """The limits that a transport must enforce, in bytes and seconds.

    A peer's frame of more than `frame` bytes is refused with `CloseCode.TOO_BIG`; see
    `Wire.write` for `send_buffer`. A peer that gives no sign of life for `silence` seconds counts
    as lost.
    """

    frame: int
    send_buffer: int
    silence: float


class TransportHost(Protocol):
    """The node on which a transport runs."""

    @property
    def transport(self) -> str:
        """The transport's name: in the configuration, in presences, and in the node's queue."""

    @property
    def node(self) -> str:
        """The node's id."""

    @property
    def limits(self) -> TransportLimits:
        """The limits of connections."""

    @property
    def logger(self) -> Logger:
        """The logger for this transport's errors."""

    @property
    def may_listen(self) -> bool:
        """Whether the node has the role ``gateway``. Without it a transport serves its mounts but
        opens none of its own ports."""

    @property
    def is_accepting(self) -> bool:
        """Whether the node accepts another connection. It does not while it drains, nor beyond
        ``gateway.max_connections``."""

    def accept(
        self, wire: Wire, framing: Framing, *, resume_window: float | None = None
    ) -> DeviceConnection:
        """Return a connection for a new peer, to which the host may write from now on.

        The peer must register within ``gateway.register_timeout``. `resume_window` is the number of
        seconds for which its subscriptions are kept after the connection is lost: None for
        ``gateway.resume_window``, 0 to keep nothing, at most ``gateway.resume_window_max``.
        """

    def is_replaced(self, identity: Identity, cursor: str) -> bool:
        """Return whether a peer that reconnects was replaced by an open connection of this node.

        `cursor` is the last one that the peer has received. False says nothing about other nodes.
        """


class Transport(ABC):
    """A protocol by which devices connect, created from its settings by `Adapter.create`."""

    @abstractmethod
    async def start(self, host: TransportHost) -> None:
        """Start to accept connections; on return the transport's own ports, if any, are open.

        Raises `StartupError` if it cannot, such as when a port is in use.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Close the ports and release everything. May be called twice, and without a start.

        The host has been drained before: no connection is left, and none is accepted.
        """

    @property
    def mounts(self) -> Sequence[HttpMount | WebSocketMount]:
        """The routes that it serves on the node's HTTP ports; read once, after `start`."""
        return ()
