"""Frames as server-sent events, as the HTML standard describes them.

See "Server-sent events" in the HTML Living Standard, section "Parsing an event stream".
"""

from __future__ import annotations

from typing import Final

import msgspec

from nexxus.interfaces.transport import CloseCode, Framing, ServerFrame

COMMENT: Final = b":\n\n"
"""An event that is none: it shows that the connection lives."""

ENDED: Final = "ended:"
"""Begins the id of a ``close`` event after which the client is not to come back.

A client that comes back by itself brings the id of the last event, and so says it."""

_FINAL: Final = (CloseCode.LOGGED_OUT, CloseCode.TOKEN_EXPIRED, CloseCode.REPLACED)


class EventStreamFraming(Framing):
    """One event per frame."""

    def frame(self, frame: ServerFrame) -> bytes:
        """See `Framing.frame`."""
        return encode_event(frame.event, frame.data, frame.cursor)


FRAMING: Final = EventStreamFraming()


def encode_event(name: str, data: bytes, id: str | None = None) -> bytes:
    """Return one event; `data` is UTF-8."""
    id_line = b"" if id is None else b"id: %b\n" % id.encode()
    # JSON has no line ends of its own, but an object may have been written with some between.
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), id_line, data)


def encode_close(code: int, reason: str) -> bytes:
    """Return the last event of a stream: why it ends."""
    data = msgspec.json.encode({"code": int(code), "reason": reason})
    return encode_event("close", data, f"{ENDED}{int(code)}" if code in _FINAL else None)


def encode_retry(seconds: float) -> bytes:
    """Return what says how long a browser waits before it reconnects."""
    return b"retry: %d\n\n" % round(seconds * 1000)
