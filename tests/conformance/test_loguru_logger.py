"""The built-in logger keeps what every logger promises."""

import io
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from nexxus.adapters.loguru.logger import LoguruLogger
from nexxus.adapters.loguru.settings import LoguruSettings
from nexxus.interfaces.logger import Level
from nexxus.testing.logger_kit import LoggerConformance, Written

OWN = ("time", "level", "message", "source", "node", "error")


class TestLoguruLogger(LoggerConformance):
    @pytest.fixture
    async def logger(self) -> AsyncIterator[LoguruLogger]:
        self.stream = io.StringIO()
        logger = LoguruLogger(LoguruSettings(format="json"), node="n1", stream=self.stream)
        yield logger
        await logger.close()

    async def written(self) -> Sequence[Written]:
        documents = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [
            Written(
                Level[document["level"].upper()],
                document["message"],
                {name: value for name, value in document.items() if name not in OWN},
                document.get("error", ""),
            )
            for document in documents
        ]
