"""The wire: how a connection's bytes leave, whatever carries them."""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """A WebSocket whose handshake is done.

    Its owner gives every message and the loss of the connection to a `Connection`.
    """

    @property
    def answers_pings(self) -> bool:
        """Whether the peer's signs of life are seen here; else another server asks for them."""
        ...

    def write(self, frames: bytes) -> bool:
        """Send whole frames; False, and nothing was sent, when too much waits unsent already."""
        ...

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, after what was written; nothing may be written later."""
        ...

    def abort(self) -> None:
        """Drop the connection without another word."""
        ...

    def pause_reading(self) -> None:
        """Take no more messages from the peer for now; may be called twice."""
        ...

    def resume_reading(self) -> None:
        """Take messages again; may be called twice."""
        ...
