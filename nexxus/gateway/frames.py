"""Frames: what a client may send, and how what it is sent is put into bytes.

Everything that leaves is a whole WebSocket frame, header included, made once and written to as
many sockets as it is for.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

import msgspec

from nexxus.errors import InvalidParameters

_FIN: Final = 0x80
_TEXT: Final = 0x1
_BINARY: Final = 0x2

PING: Final = b"\x89\x00"
"""A whole ping frame."""

WRITES: Final = ("create", "update", "delete")
"""The operations that may be under way together: they are published in order of arrival."""

OPERATIONS: Final = ("subscribe", "unsubscribe", *WRITES)
"""The events that carry a ``ref`` and are answered by a ``reply``."""

CLIENT_EVENTS: Final = ("register", "refresh_access_token", "resume", *OPERATIONS)


class Encoding(IntEnum):
    """How a connection's frames are written; the value indexes lists."""

    JSON = 0
    MSGPACK = 1


SUBPROTOCOLS: Final = {"nexxus.v1.json": Encoding.JSON, "nexxus.v1.msgpack": Encoding.MSGPACK}
"""WebSocket subprotocol → encoding; a client that offers none gets JSON."""

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_from_json = msgspec.json.Decoder().decode
_from_msgpack = msgspec.msgpack.Decoder().decode


class ClientFrame(msgspec.Struct, frozen=True):
    """A well-formed frame. `ref` is None for the events that have none."""

    event: str
    data: dict[str, Any]
    ref: str | None = None


class UnfitData(InvalidParameters):
    """The frame is an operation with a `ref`, but its ``data`` is not fit to be looked at."""

    def __init__(self, ref: str, message: str) -> None:
        super().__init__(message, {"field": "data"})
        self.ref = ref


def choose_subprotocol(offered: Iterable[str]) -> str | None:
    """The first of a client's subprotocols that we speak, None for plain JSON without one."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def parse_frame(
    payload: bytes, *, is_text: bool, encoding: Encoding, max_depth: int
) -> ClientFrame:
    """The frame in a message's `payload`.

    Raises `InvalidParameters` that says what is wrong with it; `UnfitData` where there is a
    ``ref`` to answer to.
    """
    if encoding is Encoding.JSON and not is_text:
        raise InvalidParameters("this connection speaks JSON: send text frames, not binary ones")
    if encoding is Encoding.MSGPACK and is_text:
        raise InvalidParameters("this connection speaks MessagePack: send binary frames, not text")
    frame = _decode(payload, encoding)
    if not isinstance(frame, dict):
        raise InvalidParameters('a frame is an object: {"event": …, "data": {…}}')
    event, ref = _head_of(frame)
    data = frame.get("data")
    fault = _fault_in(data, encoding, payload, max_depth)
    if fault is None:
        return ClientFrame(event, data, ref)  # type: ignore[arg-type]
    if ref is not None:
        raise UnfitData(ref, fault)
    raise InvalidParameters(fault, {"field": "data"})


def _head_of(frame: dict[Any, Any]) -> tuple[str, str | None]:
    """The event and the ``ref`` of a frame that has exactly the keys that it may have."""
    event = frame.get("event")
    if not isinstance(event, str):
        raise InvalidParameters('a frame has the key "event", a string', {"field": "event"})
    if event not in CLIENT_EVENTS:
        raise InvalidParameters(
            f"unknown event {event[:64]!r}; expected one of {', '.join(CLIENT_EVENTS)}",
            {"field": "event"},
        )
    is_operation = event in OPERATIONS
    known = ("event", "ref", "data") if is_operation else ("event", "data")
    for key in frame:
        if key not in known:
            raise InvalidParameters(
                f"unknown key {str(key)[:64]!r} in a {event} frame; it has {', '.join(known)}",
                {"field": str(key)[:64]},
            )
    ref = frame.get("ref")
    if is_operation and not isinstance(ref, str):
        raise InvalidParameters(
            f'a {event} frame has the key "ref", a string of your choice that the reply repeats',
            {"field": "ref"},
        )
    return event, ref


def encode_frame(encoding: Encoding, event: str, data: Any, ref: str | None = None) -> bytes:
    """A server's frame as bytes for the wire; `data` is anything msgspec encodes."""
    frame = (
        {"event": event, "data": data}
        if ref is None
        else {"event": event, "ref": ref, "data": data}
    )
    if encoding is Encoding.JSON:
        return _wire_frame(_FIN | _TEXT, _to_json(frame))
    return _wire_frame(_FIN | _BINARY, _to_msgpack(frame))


def encode_value(encoding: Encoding, value: Any) -> msgspec.Raw:
    """A part of a frame's data, encoded now and put into several frames as it is."""
    return msgspec.Raw(_to_json(value) if encoding is Encoding.JSON else _to_msgpack(value))


def payload_of(frame: memoryview) -> tuple[memoryview, memoryview]:
    """Splits off the first of our own frames: its payload, and what follows it."""
    length = frame[1]
    start = 2
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(frame[2:start], "big")
    end = start + length
    return frame[start:end], frame[end:]


def _wire_frame(first_byte: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 1 << 16:
        return bytes((first_byte, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + size.to_bytes(8, "big") + payload


def _decode(payload: bytes, encoding: Encoding) -> Any:
    name = "JSON" if encoding is Encoding.JSON else "MessagePack"
    try:
        return _from_json(payload) if encoding is Encoding.JSON else _from_msgpack(payload)
    except RecursionError:
        raise InvalidParameters("the frame is nested too deeply") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        # ValueError: MessagePack strings that are not UTF-8, time stamps that no date can hold.
        raise InvalidParameters(f"the frame is not {name}: {error}") from None


def _fault_in(data: Any, encoding: Encoding, payload: bytes, max_depth: int) -> str | None:
    """Why `data` is not an object of plain values at most `max_depth` levels deep."""
    if not isinstance(data, dict):
        return 'a frame has the key "data", an object'
    if encoding is Encoding.JSON and payload.count(b"{") + payload.count(b"[") <= max_depth:
        return None
    level: list[Any] = [data]
    for _ in range(max_depth):
        below: list[Any] = []
        for node in level:
            fault = _look_into(node, below)
            if fault is not None:
                return fault
        if not below:
            return None
        level = below
    return f"data: nested deeper than {max_depth} levels (limits.depth)"


def _look_into(node: dict[Any, Any] | list[Any], below: list[Any]) -> str | None:
    """Collects the objects and lists in `node`; says what has no place in it.

    MessagePack can say more than JSON: bytes, time stamps, keys that are not strings.
    """
    values: Iterable[Any] = node
    if isinstance(node, dict):
        if not all(isinstance(key, str) for key in node):
            return "data: the keys of an object are strings"
        values = node.values()
    for value in values:
        if isinstance(value, dict | list):
            below.append(value)
        elif not (value is None or isinstance(value, str | int | float)):
            return f"data: a value of type {type(value).__name__} has no place in a frame"
    return None
