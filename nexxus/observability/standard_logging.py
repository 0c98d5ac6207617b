"""Routes the standard library's logging (uvicorn, client libraries) to Nexxus's logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nexxus.interfaces.logger import Level, Logger

_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that have their own handlers and do not propagate."""


@contextmanager
def standard_logging_into(logger: Logger) -> Iterator[None]:
    """Send records of `logging` to `logger` while the block runs, and then restore its state.

    Records below a warning are passed on only at the level ``debug``.
    """
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    taken = {name: _state(logging.getLogger(name)) for name in _OWN_HANDLERS}
    root.handlers[:] = [_Handler(logger)]
    root.setLevel(logging.DEBUG if logger.is_enabled(Level.DEBUG) else logging.WARNING)
    for name in _OWN_HANDLERS:
        theirs = logging.getLogger(name)
        theirs.handlers[:] = []
        theirs.propagate = True
    try:
        yield
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
        for name, (handlers, propagate) in taken.items():
            theirs = logging.getLogger(name)
            theirs.handlers[:], theirs.propagate = handlers, propagate


class _Handler(logging.Handler):
    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            error = record.exc_info[1] if record.exc_info else None
            self._logger.log(
                _level(record.levelno), record.getMessage(), {}, error=error, source=record.name
            )
        except Exception:  # a record that cannot be formatted must not fail its caller
            self.handleError(record)


def _state(logger: logging.Logger) -> tuple[list[logging.Handler], bool]:
    return logger.handlers[:], logger.propagate


def _level(number: int) -> Level:
    return max((level for level in Level if level <= number), default=Level.DEBUG)
