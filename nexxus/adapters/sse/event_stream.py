"""One client's stream of events, as the wire of its connection."""

from __future__ import annotations

from nexxus.adapters.sse.framing import COMMENT, encode_close
from nexxus.interfaces.mounts import Stream
from nexxus.interfaces.transport import Wire


class EventStream(Wire):
    """What is written before the answer has begun waits for that: it may become another one.

    Registering and resuming come first, so that what is refused is refused with its status. So
    what waits is no more than what a resume brings.
    """

    __slots__ = ("_closing", "_early", "_stream", "ping_interval")

    wants_pings = True

    def __init__(self, comment_interval: float) -> None:
        self.ping_interval = comment_interval
        self._stream: Stream | None = None
        self._early: list[bytes] = []
        self._closing: bytes | None = None

    def begin(self, stream: Stream, preamble: bytes) -> None:
        """Write to the answer's stream from now on: the preamble, then what has waited."""
        self._stream = stream
        early, self._early = self._early, []
        stream.write(b"".join((preamble, *early)))
        if self._closing is not None:
            stream.end(self._closing)

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        stream = self._stream
        if stream is not None:
            return stream.write(frames)
        self._early.append(frames)
        return True

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        self._closing = encode_close(code, reason)
        if self._stream is not None:
            self._stream.end(self._closing)

    def abort(self) -> None:
        """See `Wire.abort`."""
        if self._stream is not None:
            self._stream.abort()

    def ping(self) -> None:
        """See `Wire.ping`."""
        if self._stream is not None and self._closing is None:
            self._stream.write(COMMENT)
