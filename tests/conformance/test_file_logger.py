"""The example of a logger keeps what every logger promises."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from nexxus.interfaces.logger import Level, Logger
from nexxus.testing.logger_kit import LoggerConformance, Written

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sample-plugin"


class TestFileLogger(LoggerConformance):
    @pytest.fixture
    async def logger(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> AsyncIterator[Logger]:
        monkeypatch.syspath_prepend(EXAMPLE)
        from nexxus_sample.file_logger import FileLogger
        from nexxus_sample.settings import FileLoggerSettings

        self.path = tmp_path / "nexxus.log"
        logger = FileLogger(FileLoggerSettings(), data_dir=tmp_path, node="n1")
        yield logger
        await logger.close()

    async def written(self) -> Sequence[Written]:
        documents = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [
            Written(
                Level[document["level"].upper()],
                document["message"],
                document["fields"],
                document.get("error", ""),
            )
            for document in documents
        ]
