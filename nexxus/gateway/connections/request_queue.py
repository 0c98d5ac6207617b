"""Pipelines: the frames of one connection, from their arrival to their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from nexxus.gateway.connections.requests import PeerRequest

if TYPE_CHECKING:
    from nexxus.gateway.connections.connection import Connection, Owner


class RequestQueue:
    """Begins a connection's frames in the order in which they came, and lets some overlap.

    A frame that begins has the *turn*. A write passes it on once it is published, so that the
    writes of one connection keep their order and are committed together; every other frame
    keeps it until it is answered, and waits by `alone` for the answers to those before it. So a
    read sees what the writes before it did, as far as their answers promise it.

    At most `frames_queued` frames are under way. What is unanswered counts in `is_full`, which
    is when the connection is not read.
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
        """Whether every frame that came has been answered."""
        return not self._under_way and not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether no more should be read from the peer for now."""
        settings = self._owner.settings
        unanswered = self._under_way + len(self._waiting)
        return unanswered >= settings.frames_queued or self._unanswered_bytes > settings.frame

    def put(self, message: PeerRequest) -> None:
        """Take a message, to be handled after those before it."""
        self._waiting.append(message)
        self._unanswered_bytes += message.size
        self._give_turn()

    def clear(self) -> None:
        """Forget what has not begun."""
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
    """The right to go first, which is passed on once."""

    __slots__ = ("_is_over", "_take_back")

    def __init__(self, take_back: Callable[[], None]) -> None:
        self._take_back = take_back
        self._is_over = False

    def pass_on(self) -> None:
        """Let the next frame begin; may be called again."""
        if not self._is_over:
            self._is_over = True
            self._take_back()
