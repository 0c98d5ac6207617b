"""The logger, which writes the log records of the process."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from enum import IntEnum
from traceback import format_exception
from types import MappingProxyType
from typing import Any

import msgspec

from nexxus.observability.redaction import redact, redact_text

_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
_CONTEXT: ContextVar[Mapping[str, Any]] = ContextVar("nexxus_log_context", default=_NO_FIELDS)


class Level(IntEnum):
    """The severity of a record; the numbers are those of the standard library."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


class LogRecord(msgspec.Struct, frozen=True):
    """One log record, with its secrets masked.

    `time` is in UNIX seconds. `fields` are the call's, the logger's bound ones and the
    context's, such as ``requestId`` and ``appId``; their values may be of any type.
    `source` is the component that logged it, such as ``nexxus`` or ``uvicorn.error``.
    """

    time: float
    level: Level
    message: str
    fields: Mapping[str, Any]
    source: str = "nexxus"
    error: BaseException | None = None

    @property
    def traceback(self) -> str:
        """The error with its traceback as text, secrets masked; empty if there is no error."""
        if self.error is None:
            return ""
        return redact_text("".join(format_exception(self.error)).rstrip())


class Logger(ABC):
    """Takes messages with structured fields: ``logger.info("started", port=8080)``.

    An implementation writes records and decides which levels it writes; this class masks secrets
    and adds bound fields and context. Logging never raises and never waits: it
    is called on hot paths and from other threads.
    """

    @abstractmethod
    async def open(self) -> None:
        """Prepare to write. Earlier records are written now, if they were not written already.

        Raises `StartupError` if records cannot be written; its message says why, and how to fix it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what is pending, in a few seconds at most; may be called twice.

        Later records may be dropped.
        """

    @abstractmethod
    def is_enabled(self, level: Level) -> bool:
        """Return whether records of that level are written at all."""

    @abstractmethod
    def write(self, record: LogRecord) -> None:
        """Write one record of an enabled level. Returns immediately and never raises: a record that
        cannot be written, for example because the disk is full, is dropped.

        The values of `LogRecord.fields` may be of any type: values that the format cannot represent
        are written as text. An error is written as `LogRecord.traceback`, which has no secrets.
        """

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        source: str = "nexxus",
    ) -> None:
        """Log a message at the given level; the methods below are shorter."""
        if self.is_enabled(level):
            everything = redact({**_CONTEXT.get(), **fields})
            self.write(
                LogRecord(time.time(), level, redact_text(message), everything, source, error)
            )

    def debug(self, message: str, **fields: Any) -> None:
        """Log a detail for developers."""
        self.log(Level.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Log a normal event that operators want to know."""
        self.log(Level.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Log a problem that recovers by itself or may get worse."""
        self.log(Level.WARNING, message, fields)

    def error(self, message: str, *, error: BaseException | None = None, **fields: Any) -> None:
        """Log a failure that lost something or needs an operator, with the traceback of `error`."""
        self.log(Level.ERROR, message, fields, error=error)

    def exception(self, message: str, **fields: Any) -> None:
        """Log an `error` with the exception that is being handled."""
        self.error(message, error=sys.exception(), **fields)

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that adds `fields` to every record of this one."""
        return _BoundLogger(self, fields)


class _BoundLogger(Logger):
    """Adds fields to each record; the owner of the logger beneath opens and closes that."""

    def __init__(self, beneath: Logger, fields: Mapping[str, Any]) -> None:
        self._beneath = beneath
        self._fields = fields

    async def open(self) -> None:
        """Nothing to do: the logger beneath is its owner's."""

    async def close(self) -> None:
        """Nothing to do: the logger beneath is its owner's."""

    def is_enabled(self, level: Level) -> bool:
        return self._beneath.is_enabled(level)

    def write(self, record: LogRecord) -> None:
        self._beneath.write(record)

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        source: str = "nexxus",
    ) -> None:
        self._beneath.log(level, message, {**self._fields, **fields}, error=error, source=source)


class log_context:  # noqa: N801 - it reads as the statement that it is
    """Add fields to every record of this task while the block runs.

    Every request has one. A class costs a third of a generator.
    """

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        outer = _CONTEXT.get()
        self._token = _CONTEXT.set({**outer, **self._fields} if outer else self._fields)

    def __exit__(self, *_: object) -> None:
        _CONTEXT.reset(self._token)
