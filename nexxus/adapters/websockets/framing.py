"""Frames as messages of a WebSocket: JSON as text, MessagePack as binary ones."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from nexxus.interfaces.transport import SUBPROTOCOLS, Encoding, Framing, ServerFrame
from nexxus.toolkit.web_socket_frames import binary_message, text_message

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode


class JsonFraming(Framing):
    """Text messages."""

    encoding: ClassVar[Encoding] = Encoding.JSON

    def frame(self, frame: ServerFrame) -> bytes:
        """See `Framing.frame`."""
        return text_message(_to_json(_envelope(frame)))


class MsgpackFraming(Framing):
    """Binary messages."""

    encoding: ClassVar[Encoding] = Encoding.MSGPACK

    def frame(self, frame: ServerFrame) -> bytes:
        """See `Framing.frame`."""
        return binary_message(_to_msgpack(_envelope(frame)))


JSON: Final = JsonFraming()
MSGPACK: Final = MsgpackFraming()

_FRAMINGS: Final[dict[Encoding | None, Framing]] = {
    Encoding.JSON: JSON,
    Encoding.MSGPACK: MSGPACK,
}


def framing_of(subprotocol: str | None) -> Framing:
    """Return the framing of the subprotocol that was chosen; JSON without one."""
    return _FRAMINGS.get(SUBPROTOCOLS.get(subprotocol or ""), JSON)


def _envelope(frame: ServerFrame) -> dict[str, str | msgspec.Raw]:
    data = msgspec.Raw(frame.data)
    if frame.ref is None:
        return {"event": frame.event, "data": data}
    return {"event": frame.event, "ref": frame.ref, "data": data}
