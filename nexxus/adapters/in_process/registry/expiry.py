"""Removes from the disk what is over, in the background and in small bites."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from nexxus.adapters.in_process.registry.schema import EXPIRING, TABLES
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.sqlite_engine import SqliteEngine

BITE: Final = 500
"""Rows per statement: a millisecond or two, in which other writes wait."""


class Expiry:
    """Owns the task that cleans every `interval` seconds. `clock` tells UNIX seconds."""

    def __init__(
        self,
        engine: SqliteEngine,
        clock: Callable[[], float],
        interval: float,
        logger: Logger,
    ) -> None:
        self._engine = engine
        self._logger = logger
        self._clock = clock
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to clean."""
        self._task = asyncio.create_task(self._run(), name="registry-expiry")

    async def stop(self) -> None:
        """Clean no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def clean(self) -> int:
        """Remove everything that is over by now; how many rows that were."""
        now = self._clock()
        return sum([await self._delete(table, "expires_at <= ?", now) for table in EXPIRING])

    async def drop(self, app_id: str) -> None:
        """Remove everything of an application."""
        for table in TABLES:
            await self._delete(table, "app_id = ?", app_id)

    async def _delete(self, table: str, condition: str, value: float | str) -> int:
        statement = (
            f"DELETE FROM {table} WHERE rowid IN "
            f"(SELECT rowid FROM {table} WHERE {condition} LIMIT {BITE})"
        )
        deleted = 0
        while True:
            bite: int = await self._engine.write(
                lambda connection: connection.execute(statement, (value,)).rowcount
            )
            deleted += bite
            if bite < BITE:
                return deleted

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.clean()
            except ServiceUnavailable as error:
                self._logger.warning("expired entries stay for now", reason=error.message)
