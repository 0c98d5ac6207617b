"""A logger that writes a JSON line for every record to a file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from nexxus.interfaces.logger import Level, Logger, LogRecord
from nexxus_sample.settings import FileLoggerSettings


class FileLogger(Logger):
    """Buffers records until `open`. Nexxus has already masked secrets."""

    def __init__(self, settings: FileLoggerSettings, *, data_dir: Path, node: str) -> None:
        self._path = data_dir / settings.path
        self._level = Level[settings.level.upper()]
        self._node = node
        self._file: BinaryIO | None = None
        self._early: list[bytes] = []

    async def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        early, self._early = self._early, []
        for line in early:
            self._file.write(line)

    async def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_enabled(self, level: Level) -> bool:
        return level >= self._level

    def write(self, record: LogRecord) -> None:
        line = self._line(record)
        if self._file is None:
            self._early.append(line)
        else:
            self._file.write(line)

    def _line(self, record: LogRecord) -> bytes:
        entry = {
            "time": record.time,
            "level": record.level.name.lower(),
            "message": record.message,
            "node": self._node,
            "source": record.source,
            "fields": record.fields,
        }
        if record.error is not None:
            entry["error"] = record.traceback
        return msgspec.json.encode(entry, enc_hook=repr) + b"\n"
