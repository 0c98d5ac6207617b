"""The frame collector: sends all frames of one turn of the loop in one write per connection."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from nexxus.gateway.figures import GatewayFigures

if TYPE_CHECKING:
    from nexxus.gateway.connections.connection import Connection

_JOIN_UP_TO: Final = 64 * 1024
"""More bytes than this are not copied together: each frame's bytes are shared by its sockets."""


class FrameCollector:
    """Collects frames per connection and flushes them at the end of the loop's turn.

    The hot path. A *run* is a series of frames for the same audience. It is joined once, so that
    each socket costs one check and one write. Any other frame, and any change of an audience's
    members, ends the run: its frames are moved to the `pending` of each connection. So every
    connection gets its frames in the order in which they were put.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, figures: GatewayFigures) -> None:
        self._loop = loop
        self._figures = figures
        self._dirty: list[Connection] = []
        self._run: list[bytes] = []
        self._audience: Collection[Connection] | None = None
        self._run_joins = True
        self._is_scheduled = False

    def put(self, connection: Connection, frame: bytes) -> None:
        """Send a frame to one connection."""
        self.end_run()
        if not connection.pending:
            self._dirty.append(connection)
        connection.pending.append(frame)
        self._figures.frames += 1
        self._schedule()

    def put_all(
        self, audience: Collection[Connection], frame: bytes, *, joins: bool = True
    ) -> None:
        """Send the same frame to an audience, which is compared by identity.

        `joins` is that of the framing of the whole audience.
        """
        if audience is not self._audience:
            self.end_run()
            self._audience = audience
            self._run_joins = joins
            self._schedule()
        self._run.append(frame)
        self._figures.frames += len(audience)

    def end_run(self) -> None:
        """Must be called before an audience changes: earlier frames are for its present members."""
        audience = self._audience
        if audience is None:
            return
        parts = self._take_run()
        dirty = self._dirty
        for connection in audience:
            pending = connection.pending
            if not pending:
                dirty.append(connection)
            pending.extend(parts)

    def flush(self) -> None:
        """Write everything that is pending now."""
        self._is_scheduled = False
        now = self._loop.time()
        if self._audience is not None and not self._dirty:
            self._flush_run(self._audience, now)
            return
        self.end_run()
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            if connection.pending:
                self._flush_pending(connection, now)

    def flush_one(self, connection: Connection) -> None:
        """Write what is pending for one connection now, before the others."""
        self.end_run()
        if connection.pending:
            self._flush_pending(connection, self._loop.time())

    def _flush_run(self, audience: Collection[Connection], now: float) -> None:
        for part in self._take_run():
            written = 0
            refused: list[Connection] = []
            for connection in audience:
                if now < connection.expires and connection.wire.write(part):
                    written += 1
                else:
                    refused.append(connection)
            self._figures.bytes += written * len(part)
            for connection in refused:  # Only now: this changes the audience.
                self._refuse(connection, now)

    def _flush_pending(self, connection: Connection, now: float) -> None:
        pending, connection.pending = connection.pending, []
        for part in _joined(pending) if connection.framing.joins else pending:
            if now >= connection.expires or not connection.wire.write(part):
                self._refuse(connection, now)
                return
            self._figures.bytes += len(part)

    def _take_run(self) -> list[bytes]:
        run, self._run, self._audience = self._run, [], None
        return _joined(run) if self._run_joins else run

    def _refuse(self, connection: Connection, now: float) -> None:
        """Send nothing more to a connection whose token has expired or whose peer does not read."""
        if connection.is_closing:
            return
        if now >= connection.expires:
            connection.expire()
        else:
            self._figures.slow_consumers += 1
            connection.drop_as_slow()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)


def _joined(frames: list[bytes]) -> list[bytes]:
    if len(frames) < 2 or sum(map(len, frames)) > _JOIN_UP_TO:
        return frames
    return [b"".join(frames)]
