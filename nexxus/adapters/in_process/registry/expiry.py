"""Removes expired rows from the disk, in the background and a few at a time."""

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
"""Rows per statement. It takes a millisecond or two, for which other writes wait."""


class Expiry:
    """Owns the task that cleans every `interval` seconds. `clock` returns UNIX seconds."""

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
        """Start to clean."""
        self._task = asyncio.create_task(self._run(), name="registry-expiry")

    async def stop(self) -> None:
        """Stop cleaning."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def clean(self) -> int:
        """Remove everything that has expired. Returns the number of rows."""
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
