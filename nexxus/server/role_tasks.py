"""Runs the roles of a process, each in a task that runs until the server ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from nexxus.interfaces.logger import Logger

_LAST_WORDS: Final = 5.0
"""Seconds for a role to release its resources after it was cancelled a second time."""


class RoleTasks:
    """Starts and ends roles, and detects a role that ends by itself."""

    def __init__(self, logger: Logger, *, last_words: float = _LAST_WORDS) -> None:
        self._logger = logger
        self._last_words = last_words
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self._failed = asyncio.Event()

    def start(self, name: str, role: Coroutine[Any, Any, None]) -> None:
        """Run a role until `end`. A role that has ended may be started again."""
        self._ending.discard(name)
        task = asyncio.create_task(role, name=f"nexxus {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda task: self._ended(name, task))

    def is_running(self, name: str) -> bool:
        """Return whether a role of this name is running."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    async def failed(self) -> None:
        """Return when a role has ended without `end`; its error is logged."""
        await self._failed.wait()

    async def end(self, *names: str, within: float) -> None:
        """Cancel roles, and give them `within` seconds to finish their current work.

        Roles that still run are then cancelled again and have some seconds to release their
        resources; the call does not wait longer. Roles that do not run here are ignored.
        """
        running = {self._tasks[name] for name in names if self.is_running(name)}
        self._ending.update(names)
        for patience, fate in ((within, "cut off"), (self._last_words, "left behind")):
            if not running:
                return
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=patience)
            for task in running:
                self._logger.error("a role did not end in time", role=task.get_name(), fate=fate)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if name in self._ending:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._logger.error("a role did not end well", role=task.get_name(), error=error)
            return
        error = None if task.cancelled() else task.exception()
        self._logger.error("a role has ended", role=task.get_name(), error=error)
        self._failed.set()
