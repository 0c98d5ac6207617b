"""WebSocket frames: the header included, made once and written to as many sockets as they are for.

They are never masked, fragmented or compressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from nexxus.interfaces.transport import SUBPROTOCOLS, Encoding, Framing, ServerFrame

_FIN: Final = 0x80
_TEXT: Final = 0x1
_BINARY: Final = 0x2

PING: Final = b"\x89\x00"
"""A whole ping frame."""

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode


class JsonFraming(Framing):
    """Text frames."""

    encoding: ClassVar[Encoding] = Encoding.JSON

    def frame(self, frame: ServerFrame) -> bytes:
        """See `Framing.frame`."""
        return _whole(_FIN | _TEXT, _to_json(_envelope(frame)))


class MsgpackFraming(Framing):
    """Binary frames."""

    encoding: ClassVar[Encoding] = Encoding.MSGPACK

    def frame(self, frame: ServerFrame) -> bytes:
        """See `Framing.frame`."""
        return _whole(_FIN | _BINARY, _to_msgpack(_envelope(frame)))


JSON: Final = JsonFraming()
MSGPACK: Final = MsgpackFraming()

_FRAMINGS: Final[dict[Encoding | None, Framing]] = {
    Encoding.JSON: JSON,
    Encoding.MSGPACK: MSGPACK,
}


def choose_subprotocol(offered: Iterable[str]) -> str | None:
    """The first of a client's subprotocols that we speak, None for plain JSON without one."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def framing_of(subprotocol: str | None) -> Framing:
    """The framing of the subprotocol that was chosen; JSON without one."""
    return _FRAMINGS.get(SUBPROTOCOLS.get(subprotocol or ""), JSON)


def payload_of(frame: memoryview) -> tuple[memoryview, memoryview]:
    """Splits off the first of our own frames: its payload, and what follows it."""
    length = frame[1]
    start = 2
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(frame[2:start], "big")
    end = start + length
    return frame[start:end], frame[end:]


def _envelope(frame: ServerFrame) -> dict[str, str | msgspec.Raw]:
    data = msgspec.Raw(frame.data)
    if frame.ref is None:
        return {"event": frame.event, "data": data}
    return {"event": frame.event, "ref": frame.ref, "data": data}


def _whole(first_byte: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 1 << 16:
        return bytes((first_byte, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + size.to_bytes(8, "big") + payload
