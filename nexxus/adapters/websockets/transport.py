"""The WebSocket transport: the contract's frames, each a message of a WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nexxus.adapters.websockets.framing import framing_of
from nexxus.errors import InvalidParameters, NotStarted
from nexxus.interfaces.mounts import (
    MountRequest,
    WebSocket,
    WebSocketListener,
    WebSocketMount,
)
from nexxus.interfaces.transport import (
    SUBPROTOCOLS,
    DeviceConnection,
    Encoding,
    Transport,
    TransportHost,
)

PATH: Final = "/ws"
"""Where the WebSocket is on the API's port."""

GATEWAY_PATH: Final = "/"
"""Where it is on the gateway's own port."""

_NOT_TEXT: Final = "this connection speaks JSON: send text frames, not binary ones"
_NOT_BINARY: Final = "this connection speaks MessagePack: send binary frames, not text"


class WebSocketTransport(Transport):
    """Has no port of its own: it is mounted on the API's and the gateway's."""

    def __init__(self) -> None:
        self._host: TransportHost | None = None

    async def start(self, host: TransportHost) -> None:
        """See `Transport.start`."""
        self._host = host

    async def stop(self) -> None:
        """See `Transport.stop`."""
        self._host = None

    @property
    def mounts(self) -> Sequence[WebSocketMount]:
        """See `Transport.mounts`."""
        return [
            WebSocketMount(
                PATH,
                self._open,
                tuple(SUBPROTOCOLS),
                gateway_path=GATEWAY_PATH,
                limited=False,  # its frames count as requests, ``register`` being the first
            )
        ]

    def _open(
        self,
        request: MountRequest,  # noqa: ARG002 - its first frame says who it is
        socket: WebSocket,
        subprotocol: str | None,
    ) -> WebSocketListener:
        if self._host is None:
            raise NotStarted("start the transport before a client connects")
        framing = framing_of(subprotocol)
        connection = self._host.accept(socket, framing)
        return _Messages(connection, is_text=framing.encoding is Encoding.JSON)


class _Messages:
    """Passes on what one WebSocket brings. See `WebSocketListener`."""

    __slots__ = ("_connection", "_is_text")

    def __init__(self, connection: DeviceConnection, *, is_text: bool) -> None:
        self._connection = connection
        self._is_text = is_text

    def heard(self) -> None:
        self._connection.heard()

    def received(self, message: bytes, *, is_text: bool) -> None:
        if is_text == self._is_text:
            self._connection.received(message)
        else:
            self._connection.refuse(InvalidParameters(_NOT_TEXT if self._is_text else _NOT_BINARY))

    def closed_by_peer(self) -> None:
        self._connection.closed_by_peer()

    def lost(self) -> None:
        self._connection.lost()
