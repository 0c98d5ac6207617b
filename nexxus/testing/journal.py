"""A logger that remembers, for tests of what is logged."""

from __future__ import annotations

from nexxus.interfaces.logger import Level, Logger, LogRecord


class Journal(Logger):
    """Keeps every record of at least the level `least`, secrets masked as anywhere."""

    def __init__(self, least: Level = Level.WARNING) -> None:
        self.records: list[LogRecord] = []
        self._least = least

    async def open(self) -> None:
        """Nothing to do: records are kept in memory."""

    async def close(self) -> None:
        """Nothing to do: the records stay."""

    def is_enabled(self, level: Level) -> bool:
        return level >= self._least

    def write(self, record: LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """The records' messages, in order."""
        return [record.message for record in self.records]
