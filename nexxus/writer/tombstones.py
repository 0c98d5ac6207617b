"""Removes old tombstones, which are kept for a time so that late events never undo newer
objects."""

from __future__ import annotations

import asyncio
import time

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger


class TombstoneSweeper:
    """Removes tombstones after `keep` seconds, checking every `every` seconds."""

    def __init__(self, database: Database, logger: Logger, *, keep: int, every: float) -> None:
        self._database = database
        self._logger = logger
        self._keep = keep
        self._every = every

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self._database.purge(int(time.time()) - self._keep)
            except ServiceUnavailable as error:
                self._logger.warning("tombstones were not swept", reason=error.message)
            await asyncio.sleep(self._every)
