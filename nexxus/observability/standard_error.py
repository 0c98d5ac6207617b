"""Logs to standard error, until the configured logger exists."""

from __future__ import annotations

import sys

from nexxus.interfaces.logger import Level, Logger, LogRecord


class StandardErrorLogger(Logger):
    """Writes warnings and errors as lines of text; it needs no configuration."""

    async def open(self) -> None:
        """Do nothing: standard error is always open."""

    async def close(self) -> None:
        """Do nothing: every line is written immediately."""

    def is_enabled(self, level: Level) -> bool:
        return level >= Level.WARNING

    def write(self, record: LogRecord) -> None:
        fields = "".join(f" {name}={value!r}" for name, value in record.fields.items())
        error = f": {type(record.error).__name__}: {record.error}" if record.error else ""
        print(f"{record.level.name} {record.message}{error}{fields}", file=sys.stderr)
