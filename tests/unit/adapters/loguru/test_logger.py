"""The built-in logger writes lines for people or for programs."""

from __future__ import annotations

import io
import json

import loguru
import pytest

from nexxus.adapters.loguru.logger import LoguruLogger
from nexxus.adapters.loguru.settings import LoguruSettings
from nexxus.interfaces.logger import log_context


class Output:
    """Creates loggers and records their lines."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.loggers: list[LoguruLogger] = []

    def logger(self, **settings: str) -> LoguruLogger:
        logger = LoguruLogger(LoguruSettings(**settings), node="n1", stream=self.stream)
        self.loggers.append(logger)
        return logger

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def documents(self) -> list[dict]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
async def output():
    output = Output()
    yield output
    for logger in output.loggers:
        await logger.close()
        await logger.close()


def fail_to_connect(secret: str) -> None:
    raise ValueError(f"amqp://u:{secret}@host")


def test_text_is_one_line_with_the_fields_after_the_message(output: Output):
    output.logger().info("ready at {} <b>", port=8080, name="a b", odd="x\ny")
    line = output.text
    assert line.count("\n") == 1
    assert "INFO     ready at {} <b> port=8080 name=a b odd='x\\ny'" in line
    assert "\x1b" not in line


def test_json_is_one_object_per_line_with_time_level_node_and_fields(output: Output):
    logger = output.logger(format="json")
    with log_context(requestId="r1"):
        logger.bind(role="api").warning("slow", seconds=1.5, what={1, 2}, level="a field")
    (document,) = output.documents
    assert document["time"].endswith("+00:00")
    assert document["level"] == "warning"
    assert (document["message"], document["node"]) == ("slow", "n1")
    assert (document["role"], document["requestId"], document["seconds"]) == ("api", "r1", 1.5)


def test_a_value_that_json_lacks_is_written_as_text(output: Output):
    output.logger(format="json").info("x", thing=object(), error_type=ValueError)
    assert "object" in output.documents[0]["thing"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_included_without_values_or_secrets(output: Output, form: str):
    with pytest.raises(ValueError, match="amqp") as caught:
        fail_to_connect("hunter2")
    output.logger(format=form).error("it failed", error=caught.value)
    assert "Traceback" in output.text
    assert "ValueError: amqp://u:***@host" in output.text
    assert "hunter2@" not in output.text
    assert "secret = " not in output.text
    if form == "json":
        assert len(output.documents) == 1


def test_records_below_the_level_are_not_written(output: Output):
    logger = output.logger(level="warning")
    logger.info("no")
    logger.warning("yes")
    assert "no" not in output.text
    assert "yes" in output.text


def test_records_of_others_through_loguru_have_the_same_format(output: Output):
    output.logger(format="json")
    loguru.logger.bind(theirs=1).warning("from elsewhere")
    (document,) = output.documents
    assert (document["message"], document["level"]) == ("from elsewhere", "warning")
    assert document["theirs"] == 1


async def test_after_closing_nothing_is_written(output: Output):
    logger = output.logger()
    await logger.open()
    await logger.close()
    logger.error("too late")
    assert output.text == ""
