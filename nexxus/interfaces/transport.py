"""The transport: what carries devices' connections, such as WebSockets, SSE or MQTT.

Nexxus knows devices, channels, deliveries, resuming and time limits; a transport knows sockets.
For every peer that connects, it gives the host a `Wire` to write to and a `Framing` that says
what a frame looks like there, gets a `DeviceConnection`, and passes on what the peer sends::

    connection = host.accept(wire, framing)
    connection.received(b'{"event": "register", "data": {"token": "…"}}')   # frames as they are
    status, data = await connection.request("create", {"type": "task", …})  # or in its own words
    …
    connection.lost()                                                       # exactly once

A transport listens on ports of its own, serves routes on the node's HTTP ports
(`nexxus.interfaces.mounts`), or does both. The frames of a client and of the server are those of
the wire contract, whatever carries them.
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

    `ref` is that of the client's frame which it answers. `channels` are the ids of the channels
    that the frame is for, and `cursor` is where a peer may resume once it has taken the frame:
    transports that have a place of their own for either, such as MQTT's topics or the ``id`` of
    SSE, need not decode `data`.
    """

    event: str
    data: bytes
    ref: str | None = None
    cursor: str | None = None
    channels: tuple[str, ...] = ()


class Framing(ABC):
    """What frames look like to one kind of peer.

    A transport has one instance per kind, for all its connections of that kind: a frame that is
    for many peers is made once per instance, and the same bytes are written to all of them.
    """

    encoding: ClassVar[Encoding] = Encoding.JSON

    joins: ClassVar[bool] = True
    """Whether frames may be joined: what leaves in one turn of the loop then leaves in one
    `Wire.write`. Otherwise each frame has a write of its own, with the very object that `frame`
    returned: it may be a subclass of `bytes` that carries what the wire has to know."""

    @abstractmethod
    def frame(self, frame: ServerFrame) -> bytes:
        """Return the frame in bytes, complete and delimited.

        Returns empty bytes if peers of this kind do not get such a frame.
        """


class Wire(ABC):
    """The way to one peer. Made by the transport, called by the host; nothing here may block."""

    __slots__ = ()

    wants_pings: ClassVar[bool] = False
    """Whether `ping` is to be called regularly."""

    ping_interval: float | None = None
    """Seconds between two pings; None: those of `gateway.ping_interval`."""

    answers_pings: ClassVar[bool] = False
    """Whether the peer's signs of life come to `DeviceConnection.heard`. A peer that shows none
    for `gateway.ping_timeout` is then aborted. False where something else detects a dead peer."""

    @abstractmethod
    def write(self, frames: bytes) -> bool:
        """Send whole frames, without waiting.

        Returns False, and sends nothing, if more than `TransportLimits.send_buffer` bytes are
        still unsent: the peer is then closed with `CloseCode.SLOW_CONSUMER`.
        """

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """End the connection after what was written, and say why where that is possible.

        Nothing is written later. The transport must then call `DeviceConnection.lost`; if it does
        not within some seconds, the host calls `abort`.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection at once; may be called twice, and after its end."""

    def ping(self) -> None:
        """Ask the peer for a sign of life, or give it one."""
        return

    def pause_reading(self) -> None:
        """Read no more from the peer: too much is unanswered. May be called twice."""
        return

    def resume_reading(self) -> None:
        """Read from the peer again. May be called twice, and without a pause."""
        return


class DeviceConnection(Protocol):
    """One peer, as the host sees it. All of it is for the event loop's own thread."""

    @property
    def id(self) -> str:
        """Its name in the registry and the log."""

    resume_window: float
    """Seconds for which the subscriptions are kept once the connection is lost. It may be set
    until then, such as where a peer says so with its goodbye; the host bounds it."""

    def heard(self) -> None:
        """Note a sign of life of the peer, of whatever kind."""

    def received(self, frame: bytes) -> None:
        """Take a frame that the peer has sent, in its encoding; answers are written to the wire.

        Frames take effect in the order in which they come, `request` and `register` included.
        """

    def refuse(self, error: WireError) -> None:
        """Answer what is not a frame at all with an ``error`` frame, in its turn."""

    async def register(self, identity: Identity, *, cursor: str | None = None) -> None:
        """Register with what a mount has authenticated, and say at once whether to resume.

        It does what a ``register`` frame does with a token, and ``resume`` with the cursor.
        Without a cursor the device starts without the subscriptions that were kept for it. The
        frames that answer are written to the wire. Raises what `request` does; nothing is then
        lost for a device that tries again.
        """

    async def request(self, event: str, data: Any) -> tuple[int, Any]:
        """Do what a client's frame would, for transports with words of their own.

        `event` and `data` are those of the frame; no ``ref`` is needed. Returns the status and
        the ``data`` of the answer, which is not written to the wire; whatever else follows from
        it is, such as the ``register`` and ``resume`` frames. Raises the `WireError` instead of
        an ``error`` or a refusal, and `ServiceUnavailable` when the connection has ended.
        """

    def send(self, event: str, data: Any, *, cursor: str | None = None) -> None:
        """Send a frame of the transport's own, in its turn among the host's."""

    def close(self, code: int, reason: str) -> None:
        """Close because the transport wants to, such as with `TOO_BIG`."""

    def closed_by_peer(self) -> None:
        """Note the peer's goodbye: nothing more is sent; what it asked for before is done."""

    def lost(self) -> None:
        """Note that the connection is gone. The last call; later ones change nothing."""


class TransportLimits(msgspec.Struct, frozen=True):
    """What a transport has to keep to, in bytes and seconds.

    A peer's frame of more than `frame` bytes is refused with `CloseCode.TOO_BIG`; see
    `Wire.write` for `send_buffer`. A peer that gives no sign of life for `silence` seconds counts
    as lost.
    """

    frame: int
    send_buffer: int
    silence: float


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
        """Where to report what went wrong."""

    @property
    def may_listen(self) -> bool:
        """Whether the node has the role ``gateway``; without it a transport serves its mounts,
        but opens no port of its own."""

    @property
    def is_accepting(self) -> bool:
        """Whether another connection is welcome. It is not during a drain, nor beyond
        ``gateway.max_connections``."""

    def accept(
        self, wire: Wire, framing: Framing, *, resume_window: float | None = None
    ) -> DeviceConnection:
        """Return a connection for a peer that may be written to from now on.

        It has to register within ``gateway.register_timeout``. `resume_window` is how long its
        subscriptions are kept after it is lost, in seconds: None for ``gateway.resume_window``, 0
        for not at all, and never more than ``gateway.resume_window_max``.
        """

    def is_replaced(self, identity: Identity, cursor: str) -> bool:
        """Whether a peer that comes back by itself was replaced by a connection that lives here.

        `cursor` is the last one that the peer has seen. Only what this node knows counts: False
        says nothing about other nodes.
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
        """Close its ports and release everything; may be called twice, and without a start.

        The host has been drained by then: no connection is left, and none is accepted.
        """

    @property
    def mounts(self) -> Sequence[HttpMount | WebSocketMount]:
        """What it serves on the node's HTTP ports; asked for once, after `start`."""
        return ()
