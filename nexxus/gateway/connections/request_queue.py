"""The request queue: the frames of one connection, from their arrival to their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from nexxus.gateway.connections.requests import PeerRequest

if TYPE_CHECKING:
    from nexxus.gateway.connections.connection import Connection, Owner


class RequestQueue:
    """Starts a connection's frames in the order in which they arrived, and lets some overlap.

    A frame that starts has the *turn*. A write passes the turn on as soon as it is published, so
    that the writes of one connection keep their order and are committed together. Every other frame
    keeps the turn until it is answered, and calls `alone` to wait for the answers to the frames
    before it. So a read sees the effect of the writes before it, as far as their answers promise.

    At most `frames_queued` frames are being handled. If too much is unanswered (`is_full`), the
    connection is not read.
    """

    __slots__ = (
        "_all_answered",
        "_connection",
        "_has_turn_to_give",
        "_owner",
        "_unanswered_bytes",
        "_under_way",
        "_waiting",
    )

    def __init__(self, connection: Connection, owner: Owner) -> None:
        self._connection = connection
        self._owner = owner
        self._waiting: deque[PeerRequest] = deque()
        self._under_way = 0
        self._unanswered_bytes = 0
        self._has_turn_to_give = True
        self._all_answered: asyncio.Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether every frame has been answered."""
        return not self._under_way and not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether reading from the peer should pause."""
        settings = self._owner.settings
        unanswered = self._under_way + len(self._waiting)
        return unanswered >= settings.frames_queued or self._unanswered_bytes > settings.frame

    def put(self, message: PeerRequest) -> None:
        """Add a message, to be handled after the earlier ones."""
        self._waiting.append(message)
        self._unanswered_bytes += message.size
        self._give_turn()

    def clear(self) -> None:
        """Drop the messages that have not been started."""
        for message in self._waiting:
            self._unanswered_bytes -= message.size
            message.forget()
        self._waiting.clear()

    async def alone(self) -> None:
        """Wait until all frames before the one that has the turn are answered."""
        if self._under_way > 1:
            self._all_answered = asyncio.get_running_loop().create_future()
            await self._all_answered

    def _give_turn(self) -> None:
        is_room = self._under_way < self._owner.settings.frames_queued
        if self._has_turn_to_give and self._waiting and is_room:
            self._has_turn_to_give = False
            self._under_way += 1
            self._owner.start(self._handle(self._waiting.popleft()))

    async def _handle(self, message: PeerRequest) -> None:
        turn = _Turn(self._take_turn_back)
        try:
            await self._owner.handle(self._connection, message, turn.pass_on)
        finally:
            self._under_way -= 1
            self._unanswered_bytes -= message.size
            turn.pass_on()
            self._give_turn()
            if self._under_way == 1 and self._all_answered is not None:
                self._all_answered.set_result(None)
                self._all_answered = None
            self._connection.answered()

    def _take_turn_back(self) -> None:
        self._has_turn_to_give = True
        self._give_turn()


class _Turn:
    """The right to start, which is passed on once."""

    __slots__ = ("_is_over", "_take_back")

    def __init__(self, take_back: Callable[[], None]) -> None:
        self._take_back = take_back
        self._is_over = False

    def pass_on(self) -> None:
        """Let the next frame start. May be called again."""
        if not self._is_over:
            self._is_over = True
            self._take_back()
