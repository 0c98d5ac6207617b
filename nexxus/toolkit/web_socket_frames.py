"""Encodes the messages of a WebSocket server once for any number of sockets.

A server's frames are not masked, so the bytes of a message are the same for every receiver. They
are never fragmented or compressed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_FIN: Final = 0x80
_TEXT: Final = 0x1
_BINARY: Final = 0x2

PING: Final = b"\x89\x00"
"""A whole ping frame."""


class WebSocketMessage(NamedTuple):
    """One message: its payload, and whether that is text."""

    payload: memoryview
    is_text: bool


def text_message(payload: bytes) -> bytes:
    """Return a text message; `payload` is UTF-8."""
    return _whole(_FIN | _TEXT, payload)


def binary_message(payload: bytes) -> bytes:
    """Return a binary message."""
    return _whole(_FIN | _BINARY, payload)


def split_messages(messages: bytes) -> list[WebSocketMessage]:
    """Return the messages in a run of those that were made here."""
    found = []
    rest = memoryview(messages)
    while rest:
        length = rest[1]
        start = 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(rest[2:start], "big")
        end = start + length
        found.append(WebSocketMessage(rest[start:end], rest[0] & 0x0F == _TEXT))
        rest = rest[end:]
    return found


def _whole(first_byte: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 1 << 16:
        return bytes((first_byte, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + size.to_bytes(8, "big") + payload
