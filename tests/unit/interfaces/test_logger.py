"""Behaviour that is common to all loggers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nexxus.interfaces.logger import Level, log_context
from nexxus.observability.standard_logging import standard_logging_into
from nexxus.testing.journal import Journal


def fields_of(logger: Journal) -> list[dict[str, Any]]:
    return [dict(record.fields) for record in logger.records]


def test_a_message_has_its_level_and_fields():
    logger = Journal(Level.INFO)
    logger.warning("a service is away", service="database", attempt=2)
    (record,) = logger.records
    assert (record.level, record.message) == (Level.WARNING, "a service is away")
    assert record.fields == {"service": "database", "attempt": 2}
    assert record.source == "nexxus"


def test_disabled_levels_are_not_written():
    logger = Journal(Level.WARNING)
    logger.debug("d")
    logger.info("i")
    logger.bind(a=1).info("b")
    logger.error("e")
    assert [record.message for record in logger.records] == ["e"]


def test_bound_fields_are_in_every_record_and_the_calls_fields_override_them():
    logger = Journal(Level.INFO)
    bound = logger.bind(role="writer", a=1).bind(b=2)
    bound.info("x", a=3)
    assert fields_of(logger) == [{"role": "writer", "a": 3, "b": 2}]


async def test_the_context_applies_to_every_record_of_its_task_only():
    logger = Journal(Level.INFO)
    both_in = asyncio.Barrier(2)

    async def request(name: str) -> None:
        with log_context(requestId=name), log_context(appId="tasks"):
            await both_in.wait()
            logger.info(name)
        logger.info("after")

    await asyncio.gather(request("one"), request("two"))
    with_context = {record.message: dict(record.fields) for record in logger.records}
    assert with_context == {
        "one": {"requestId": "one", "appId": "tasks"},
        "two": {"requestId": "two", "appId": "tasks"},
        "after": {},
    }


def test_secrets_are_masked_in_messages_and_fields():
    logger = Journal(Level.INFO)
    logger.info("connecting to amqp://u:pw@h", password="pw", settings={"clientSecret": "pw"})
    assert "pw" not in repr(logger.records)


def test_a_handled_exception_is_included():
    logger = Journal(Level.INFO)
    try:
        int("not a number")
    except ValueError as error:
        logger.exception("it failed", what="all")
        expected = error
    assert logger.records[0].error is expected
    assert logger.records[0].level is Level.ERROR


@pytest.fixture
def elsewhere():
    return logging.getLogger("some.library")


def test_warnings_of_other_libraries_have_their_source(elsewhere: logging.Logger):
    logger = Journal(Level.INFO)
    with standard_logging_into(logger):
        elsewhere.info("chatter")
        elsewhere.warning("beware of %s", "dogs")
        logging.getLogger("uvicorn.error").error("x", exc_info=ValueError("y"))
    elsewhere.warning("not ours any more")
    assert [(record.source, record.message) for record in logger.records] == [
        ("some.library", "beware of dogs"),
        ("uvicorn.error", "x"),
    ]
    assert isinstance(logger.records[1].error, ValueError)


def test_other_libraries_debug_records_are_passed_on_only_at_debug(elsewhere: logging.Logger):
    logger = Journal(Level.DEBUG)
    with standard_logging_into(logger):
        elsewhere.info("chatter")
    assert logger.records[0].message == "chatter"


def test_a_foreign_record_that_cannot_be_formatted_fails_nothing(
    elsewhere: logging.Logger, capsys: pytest.CaptureFixture[str]
):
    with standard_logging_into(Journal(Level.INFO)):
        elsewhere.warning("%d", "not a number")
    assert "not a number" in capsys.readouterr().err
