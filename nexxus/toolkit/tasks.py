"""Tasks that somebody waits for in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from nexxus.interfaces.logger import Logger


class Tasks:
    """Owns short tasks that begin outside of any coroutine, such as in a transport's callback."""

    def __init__(self, loop: asyncio.AbstractEventLoop, logger: Logger) -> None:
        self._loop = loop
        self._logger = logger
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work`; what it raises is logged."""
        task = self._loop.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def join(self, at_most: float) -> bool:
        """Wait until none is running, `at_most` so many seconds; whether that came true."""
        try:
            async with asyncio.timeout(at_most):
                while self._running:
                    await asyncio.wait(self._running)
        except TimeoutError:
            return False
        return True

    async def cancel(self) -> None:
        """End those that still run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self._logger.exception("a task has failed")
