"""The built-in logger: loguru, as text for people or JSON lines for machines."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from nexxus.adapters.loguru.settings import LoguruSettings
from nexxus.interfaces.logger import Level, Logger, LogRecord

if TYPE_CHECKING:
    import loguru

_TEXT: Final = "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> <level>{level: <8}</level> {message}"
_OURS: Final = "nexxus"


class LoguruLogger(Logger):
    """Writes to a stream, standard error unless told otherwise, in the place of loguru's default.

    Handlers that an embedder has added to loguru get our records too, and what others say
    through loguru is written here in the same form. Tracebacks never show values.
    """

    def __init__(
        self, settings: LoguruSettings, *, node: str = "", stream: TextIO | None = None
    ) -> None:
        from loguru import logger

        self._level = Level[settings.level.upper()]
        self._base = {"node": node} if node else {}
        self._loguru = logger
        with suppress(ValueError):  # somebody has put their own in its place: it stays
            logger.remove(0)
        self._sink: int | None = logger.add(
            stream or sys.stderr,
            level=self._level.name,
            format=self._json if settings.format == "json" else self._text,
            colorize={"auto": None, "always": True, "never": False}[settings.colors],
            backtrace=False,
            diagnose=False,
        )

    async def open(self) -> None:
        """Nothing to do: the stream is open."""

    async def close(self) -> None:
        if self._sink is not None:
            sink, self._sink = self._sink, None
            self._loguru.remove(sink)

    def is_enabled(self, level: Level) -> bool:
        return level >= self._level

    def write(self, record: LogRecord) -> None:
        self._loguru.bind(**{_OURS: record}).log(record.level.name, record.message)

    def _text(self, line: loguru.Record) -> str:
        ours = _record(line)
        fields = {**ours.fields, "source": ours.source}
        if ours.source == "nexxus":
            del fields["source"]
        shown = "".join(f" {name}={_plain(value)}" for name, value in fields.items())
        line["extra"]["fields"] = shown
        line["extra"]["error"] = f"\n{ours.traceback}" if ours.error is not None else ""
        return _TEXT + "<dim>{extra[fields]}</dim>{extra[error]}\n"

    def _json(self, line: loguru.Record) -> str:
        ours = _record(line)
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(ours.time, UTC).isoformat(timespec="milliseconds"),
            "level": ours.level.name.lower(),
            "message": ours.message,
            "source": ours.source,
            **self._base,
        }
        if ours.error is not None:
            document["error"] = ours.traceback
        for name, value in ours.fields.items():
            document.setdefault(name, value)
        line["extra"]["json"] = msgspec.json.encode(document, enc_hook=repr).decode()
        return "{extra[json]}\n"


def _record(line: loguru.Record) -> LogRecord:
    """Our record behind a line of loguru's; one made up for a line that is not ours."""
    ours = line["extra"].get(_OURS)
    if isinstance(ours, LogRecord):
        return ours
    level = max((level for level in Level if level <= line["level"].no), default=Level.DEBUG)
    exception = line["exception"]
    return LogRecord(
        time=line["time"].timestamp(),
        level=level,
        message=line["message"],
        fields=dict(line["extra"]),
        source=line["name"] or "loguru",
        error=exception.value if exception is not None else None,
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and value else repr(value)
