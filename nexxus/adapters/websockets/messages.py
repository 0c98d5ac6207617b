"""What a peer's message is to its connection."""

from __future__ import annotations

from typing import Final

from nexxus.errors import InvalidParameters
from nexxus.interfaces.transport import DeviceConnection, Encoding, Framing

_NOT_TEXT: Final = "this connection speaks JSON: send text frames, not binary ones"
_NOT_BINARY: Final = "this connection speaks MessagePack: send binary frames, not text"


def pass_on(
    connection: DeviceConnection, framing: Framing, message: bytes, *, is_text: bool
) -> None:
    """Give a whole message to the connection, or an error if it is of the other kind."""
    if is_text == (framing.encoding is Encoding.JSON):
        connection.received(message)
    else:
        connection.refuse(InvalidParameters(_NOT_BINARY if is_text else _NOT_TEXT))
