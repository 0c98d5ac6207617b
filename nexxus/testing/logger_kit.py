"""The conformance kit for `nexxus.interfaces.logger.Logger`.

Subclass `LoggerConformance` in a test module, give it a fixture `logger` that returns one that is
not open and writes the levels from INFO on, and say what it has written::

    class TestFileLogger(LoggerConformance):
        @pytest.fixture
        def logger(self, tmp_path):
            self.path = tmp_path / "log"
            return FileLogger(FileLoggerSettings(path=str(self.path)))

        async def written(self):
            lines = map(json.loads, self.path.read_text().splitlines())
            return [Written(Level[x["level"].upper()], x["message"], x["fields"], x["error"])
                    for x in lines]

A logger that writes to a disk or to a service overrides `unwritable`.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexxus.errors import StartupError
from nexxus.interfaces.logger import Level, Logger, log_context

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

_BURST = 1_000
_THREADS = 4


class Written(NamedTuple):
    """A record as it can be read where the logger wrote it.

    `error` is the text of the record's error, empty if it had none. Values of `fields` may be text.
    """

    level: Level
    message: str
    fields: Mapping[str, Any]
    error: str = ""


class LoggerConformance(ABC):
    """What every logger keeps."""

    @abstractmethod
    async def written(self) -> Sequence[Written]:
        """Return what was written, oldest first; the kit closes the logger before it asks."""

    def unwritable(self) -> Logger | None:
        """Return a logger where nothing can be written, such as on a full disk; None if that
        cannot happen."""
        return None

    async def _written(self, logger: Logger) -> Sequence[Written]:
        async with asyncio.timeout(PATIENCE):
            await logger.close()
        return await self.written()

    async def test_records_are_written_in_order_with_their_level_and_fields(
        self, logger: Logger
    ) -> None:
        await logger.open()
        logger.info("ready", port=8080, name="a b")
        logger.warning("a service is away", service="database")
        logger.error("it failed")
        logger.log(Level.CRITICAL, "the end", {})
        records = await self._written(logger)
        assert [(record.level, record.message) for record in records] == [
            (Level.INFO, "ready"),
            (Level.WARNING, "a service is away"),
            (Level.ERROR, "it failed"),
            (Level.CRITICAL, "the end"),
        ]
        assert str(records[0].fields["port"]) == "8080"
        assert records[0].fields["name"] == "a b"
        assert records[1].fields["service"] == "database"

    async def test_what_is_logged_before_it_is_open_is_not_lost(self, logger: Logger) -> None:
        logger.info("early")
        await logger.open()
        logger.info("late")
        assert [each.message for each in await self._written(logger)] == ["early", "late"]

    async def test_what_is_not_enabled_is_not_written(self, logger: Logger) -> None:
        await logger.open()
        assert not logger.is_enabled(Level.DEBUG)
        assert logger.is_enabled(Level.INFO)
        logger.debug("chatter")
        assert await self._written(logger) == []

    async def test_bound_fields_and_those_of_the_context_come_along(self, logger: Logger) -> None:
        await logger.open()
        with log_context(requestId="r1"):
            logger.bind(role="writer").info("bound", batch="b")
        (record,) = await self._written(logger)
        fields = {name: record.fields[name] for name in ("requestId", "role", "batch")}
        assert fields == {"requestId": "r1", "role": "writer", "batch": "b"}

    @pytest.mark.parametrize("message", ["{} {x} %s %(x)s <b>", "é ✓ 🌱", 'a "b"\\c', "one\ntwo"])
    async def test_a_message_is_written_as_it_is(self, logger: Logger, message: str) -> None:
        await logger.open()
        logger.info(message, text=message)
        (record,) = await self._written(logger)
        assert (record.message, record.fields["text"]) == (message, message)

    async def test_fields_may_be_of_any_type(self, logger: Logger) -> None:
        class Odd:
            def __repr__(self) -> str:
                return "an odd one"

        odd: list[Any] = [
            *(None, True, 1.5, float("nan"), b"\xff", Path("/x"), 2**70),
            *({"a": {"b": [1, {"c": Odd()}]}}, {1: 2}, {3, 4}, (5, 6)),
            *(Odd(), ValueError("x"), datetime.datetime.now(datetime.UTC), Level.INFO),
        ]
        await logger.open()
        for number, value in enumerate(odd):
            logger.info("odd", number=number, value=value)
        records = await self._written(logger)
        assert [str(each.fields["number"]) for each in records] == list(map(str, range(len(odd))))

    async def test_an_error_is_written_with_its_traceback_and_without_secrets(
        self, logger: Logger
    ) -> None:
        def fail_to_connect() -> None:
            raise ValueError("amqp://nexxus:hunter2@host does not answer")

        await logger.open()
        try:
            fail_to_connect()
        except ValueError as error:
            logger.error("it failed", error=error)
        (record,) = await self._written(logger)
        assert "ValueError" in record.error
        assert "fail_to_connect" in record.error
        assert "does not answer" in record.error
        assert "hunter2" not in record.error

    async def test_secrets_in_fields_are_not_written(self, logger: Logger) -> None:
        await logger.open()
        logger.info(
            "signed in at amqp://u:hunter2@host", password="hunter2", nested={"token": "hunter2"}
        )
        assert "hunter2" not in str(await self._written(logger))

    async def test_a_burst_from_several_threads_is_written_whole(self, logger: Logger) -> None:
        def log(thread: int) -> None:
            for number in range(_BURST):
                logger.info("burst", thread=thread, number=number)

        await logger.open()
        threads = [threading.Thread(target=log, args=(each,)) for each in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        by_thread: dict[str, list[int]] = {}
        for record in await self._written(logger):
            by_thread.setdefault(str(record.fields["thread"]), []).append(
                int(record.fields["number"])
            )
        assert by_thread == {str(each): list(range(_BURST)) for each in range(_THREADS)}

    async def test_closing_twice_is_fine_and_logging_afterwards_raises_nothing(
        self, logger: Logger
    ) -> None:
        await logger.open()
        logger.info("last")
        assert [each.message for each in await self._written(logger)] == ["last"]
        await logger.close()
        logger.error("too late", error=ValueError("x"))

    async def test_what_cannot_be_written_is_dropped_and_raises_nothing(self) -> None:
        logger = self.unwritable()
        if logger is None:
            pytest.skip("everything can always be written")
        logger.info("early")
        try:
            await logger.open()
        except StartupError:
            return  # then the process does not start
        logger.error("lost", error=ValueError("x"))
        async with asyncio.timeout(PATIENCE):
            await logger.close()
