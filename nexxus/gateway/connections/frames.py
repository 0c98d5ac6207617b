"""Frames: parsing those of clients and encoding those of the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from nexxus.domain.decoding import check_depth, check_plain
from nexxus.domain.frames import CLIENT_EVENTS, OPERATIONS
from nexxus.errors import InvalidParameters
from nexxus.interfaces.transport import Encoding, Framing, ServerFrame

_ENCODE: Final[dict[Encoding, Callable[[Any], bytes]]] = {
    Encoding.JSON: msgspec.json.Encoder().encode,
    Encoding.MSGPACK: msgspec.msgpack.Encoder().encode,
}
_from_json = msgspec.json.Decoder().decode
_from_msgpack = msgspec.msgpack.Decoder().decode


class ClientFrame(msgspec.Struct, frozen=True):
    """A well-formed frame. `ref` is None for events without one."""

    event: str
    data: dict[str, Any]
    ref: str | None = None


class UnfitFrame(InvalidParameters):
    """The frame is an operation with a `ref`, to which the error is sent, but it is invalid."""

    def __init__(self, ref: str, message: str, field: str) -> None:
        super().__init__(message, {"field": field})
        self.ref = ref


def parse_frame(payload: bytes, *, encoding: Encoding, max_depth: int) -> ClientFrame:
    """Return the frame in a message's `payload`.

    Raises `UnfitFrame` for an invalid frame with a ``ref``, and `InvalidParameters` for any other.
    """
    try:
        frame = _decode(payload, encoding)
    except InvalidParameters as error:
        ref = _find_ref(payload, encoding)
        raise error if ref is None else UnfitFrame(ref, error.message, "data") from None
    if not isinstance(frame, dict):
        raise InvalidParameters('a frame is an object: {"event": …, "data": {…}}')
    event, ref = _head_of(frame)
    # Each level opens at least one bracket; the first is the frame's own.
    is_flat = (
        encoding is Encoding.JSON and payload.count(b"{") + payload.count(b"[") <= max_depth + 1
    )
    try:
        data = check_data(frame.get("data"), max_depth=None if is_flat else max_depth)
    except InvalidParameters as error:
        field = (error.details or {}).get("field", "data")
        raise error if ref is None else UnfitFrame(ref, error.message, field) from None
    return ClientFrame(event, data, ref)


def check_event(event: Any) -> str:
    """Return the event, one that a client may send. Raises `InvalidParameters` for any other."""
    if not isinstance(event, str):
        raise InvalidParameters('a frame has the key "event", a string', {"field": "event"})
    if event not in CLIENT_EVENTS:
        raise InvalidParameters(
            f"unknown event {event[:64]!r}; expected one of {', '.join(CLIENT_EVENTS)}",
            {"field": "event"},
        )
    return event


def check_data(data: Any, *, max_depth: int | None) -> dict[str, Any]:
    """Return a frame's data: an object of JSON values, at most `max_depth` levels deep.

    If `max_depth` is None, the values and the depth were checked before. Raises
    `InvalidParameters`.
    """
    if not isinstance(data, dict):
        raise InvalidParameters('a frame has the key "data", an object', {"field": "data"})
    if max_depth is not None:
        try:
            check_depth(data, max_depth)
            check_plain(data)
        except InvalidParameters as error:
            details = {"field": "data", **(error.details or {})}
            raise InvalidParameters(f"data: {error.message}", details) from None
    return data


def _head_of(frame: dict[Any, Any]) -> tuple[str, str | None]:
    """Return the event and the ``ref`` of a frame, after checking its keys."""
    event = check_event(frame.get("event"))
    is_operation = event in OPERATIONS
    known = ("event", "ref", "data") if is_operation else ("event", "data")
    ref = frame.get("ref")
    if is_operation and not isinstance(ref, str):
        raise InvalidParameters(
            f'a {event} frame has the key "ref", a string of your choice that the reply repeats',
            {"field": "ref"},
        )
    for key in frame:
        if key not in known:
            field = str(key)[:64]
            message = f"unknown key {field!r} in a {event} frame; it has {', '.join(known)}"
            if is_operation and isinstance(ref, str):
                raise UnfitFrame(ref, message, field)
            raise InvalidParameters(message, {"field": field})
    return event, ref


def encode_frame(
    framing: Framing,
    event: str,
    data: Any,
    *,
    ref: str | None = None,
    cursor: str | None = None,
    channels: Iterable[str] = (),
) -> bytes:
    """Return a server's frame as bytes for the wire; `data` is anything msgspec encodes."""
    encoded = _ENCODE[framing.encoding](data)
    return framing.frame(ServerFrame(event, encoded, ref, cursor, tuple(channels)))


def encode_value(encoding: Encoding, value: Any) -> msgspec.Raw:
    """A part of a frame's data that is encoded once and used in several frames."""
    return msgspec.Raw(_ENCODE[encoding](value))


class _Head(msgspec.Struct):
    """The keys that are read from a frame whose data cannot be decoded."""

    event: str
    ref: str


def _find_ref(payload: bytes, encoding: Encoding) -> str | None:
    """Return the ``ref`` of an operation whose data cannot be decoded, None if there is none."""
    try:
        if encoding is Encoding.MSGPACK:
            head = msgspec.msgpack.decode(payload, type=_Head)
        else:
            # The standard library accepts half of a surrogate pair, which msgspec does not skip.
            head = msgspec.convert(json.loads(payload), _Head)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return head.ref if head.event in OPERATIONS and _is_text(head.ref) else None


def _is_text(value: str) -> bool:
    """Return whether a string can be encoded."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _decode(payload: bytes, encoding: Encoding) -> Any:
    name = "JSON" if encoding is Encoding.JSON else "MessagePack"
    try:
        return _from_json(payload) if encoding is Encoding.JSON else _from_msgpack(payload)
    except RecursionError:
        raise InvalidParameters("the frame is nested too deeply") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        # ValueError: MessagePack strings that are not UTF-8, time stamps that no date can hold.
        raise InvalidParameters(f"the frame is not {name}: {error}") from None
