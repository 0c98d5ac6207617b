"""The commands of many callers, sent together.

A command that is sent alone costs the client library several times what it costs Redis. So all
commands that arrive while every connection is busy, or within one turn of the loop, are sent as
one pipeline: the higher the load, the cheaper each command becomes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[Argument, ...]
_Waiting: TypeAlias = tuple[Sequence[Command], asyncio.Future[list[Any]]]

DEPTH: Final = 500
"""Commands per pipeline; between two of them Redis serves other clients."""


class CommandPipeline:
    """Gathers commands for `send`, of which at most `width` calls run at a time.

    `send` returns an answer for each command, an exception where one was refused. If it raises,
    every caller whose commands it had gets that exception.
    """

    def __init__(
        self, send: Callable[[Sequence[Command]], Awaitable[list[Any]]], *, width: int
    ) -> None:
        self._send = send
        self._width = width
        self._waiting: deque[_Waiting] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to at most `DEPTH` commands, which are sent together, in order.

        If the caller is cancelled before they are sent, they are not sent.
        """
        outcome: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, outcome))
        if len(self._senders) < self._width:
            sender = asyncio.create_task(self._run(), name="redis-pipeline")
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await outcome

    async def close(self) -> None:
        """Cancel what is in progress and what waits."""
        senders = list(self._senders)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        while self._waiting:
            _fail(self._waiting.popleft()[1], _closed())

    async def _run(self) -> None:
        while taken := self._take():
            commands = [command for each, _ in taken for command in each]
            try:
                answers = await self._send(commands)
            except BaseException as error:
                for _, outcome in taken:
                    _fail(outcome, error if isinstance(error, Exception) else _closed())
                if not isinstance(error, Exception):
                    raise
                continue
            start = 0
            for each, outcome in taken:
                if not outcome.done():
                    outcome.set_result(answers[start : start + len(each)])
                start += len(each)

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        room = DEPTH
        while self._waiting and (not taken or len(self._waiting[0][0]) <= room):
            commands, outcome = self._waiting.popleft()
            if not outcome.done():
                taken.append((commands, outcome))
                room -= len(commands)
        return taken


def _fail(outcome: asyncio.Future[list[Any]], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)


def _closed() -> Exception:
    return ConnectionAbortedError("the connection was closed meanwhile")
