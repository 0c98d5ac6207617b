"""The logger: one JSON object per line, in a file that is replaced when it is full."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from nexxus.errors import StartupError
from nexxus.interfaces.logger import Level, Logger, LogRecord
from nexxus_rotating_file.settings import RotatingFileSettings


class RotatingFileLogger(Logger):
    """Keeps what is logged before `open`, and writes it then.

    A record that cannot be written, such as on a full disk, is dropped: nothing waits for a log.
    Before the next one that can be written, a line says how many were.
    """

    def __init__(self, settings: RotatingFileSettings, *, data_dir: Path, node: str) -> None:
        self._path = data_dir / settings.path
        self._level = Level[settings.level.upper()]
        self._max_size = settings.max_size
        self._keep = settings.keep
        self._node = node
        self._file: BinaryIO | None = None
        self._size = 0
        self._early: list[bytes] = []
        self._dropped = 0
        self._is_closed = False
        self._lock = threading.Lock()  # records come from other threads, too

    async def open(self) -> None:
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._begin()
            except OSError as error:
                raise StartupError(
                    f"{self._path} cannot be written: {error.strerror}; change logger.path"
                ) from error
            early, self._early = self._early, []
            for line in early:
                self._append(line)

    async def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def is_enabled(self, level: Level) -> bool:
        return level >= self._level

    def write(self, record: LogRecord) -> None:
        line = self._line(record)
        with self._lock:
            if self._file is not None:
                self._append(line)
            elif not self._is_closed:
                self._early.append(line)

    def _append(self, line: bytes) -> None:
        """Write a line, into a new file if this one is full."""
        assert self._file is not None
        if self._dropped:
            line = self._line(_dropped(self._dropped)) + line
        try:
            if self._size and self._size + len(line) > self._max_size:
                self._file.close()
                self._shift()
            if self._file.closed:
                self._file = self._begin()
            self._file.write(line)
        except OSError:
            self._dropped += 1
        else:
            self._size += len(line)
            self._dropped = 0

    def _begin(self) -> BinaryIO:
        file = self._path.open("ab", buffering=0)
        self._size = file.seek(0, os.SEEK_END)
        return file

    def _shift(self) -> None:
        """Give every file the next number; the oldest one makes room."""
        files = [self._path, *(self._numbered(number) for number in range(1, self._keep + 1))]
        for older, file in zip(reversed(files), reversed(files[:-1]), strict=False):
            if file.exists():
                file.replace(older)
        if not self._keep:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _line(self, record: LogRecord) -> bytes:
        document = {
            "time": record.time,
            "level": record.level.name.lower(),
            "message": record.message,
            "source": record.source,
            "node": self._node,
            "fields": record.fields,
            "error": record.traceback,
        }
        return msgspec.json.encode(document, enc_hook=repr) + b"\n"


def _dropped(count: int) -> LogRecord:
    fields = {"count": count}
    return LogRecord(time.time(), Level.ERROR, "some records could not be written", fields)
