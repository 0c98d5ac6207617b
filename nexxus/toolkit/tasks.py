"""Background tasks with an owner that awaits or cancels them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from nexxus.interfaces.logger import Logger


class Tasks:
    """Owns short tasks that are started outside of coroutines, such as in a protocol's callback."""

    def __init__(self, loop: asyncio.AbstractEventLoop, logger: Logger) -> None:
        self._loop = loop
        self._logger = logger
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in a task. Its errors are logged."""
        task = self._loop.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def join(self, at_most: float) -> bool:
        """Wait for all tasks, for `at_most` seconds. Returns whether none is running."""
        try:
            async with asyncio.timeout(at_most):
                while self._running:
                    await asyncio.wait(self._running)
        except TimeoutError:
            return False
        return True

    async def cancel(self) -> None:
        """Cancel the tasks that still run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self._logger.exception("a task has failed")
