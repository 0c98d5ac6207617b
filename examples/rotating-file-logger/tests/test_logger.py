"""The logger keeps what every logger promises, and begins a new file when one is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexxus.errors import StartupError
from nexxus.interfaces.logger import Level
from nexxus.testing.logger_kit import LoggerConformance, Written
from nexxus_rotating_file.logger import RotatingFileLogger
from nexxus_rotating_file.settings import RotatingFileSettings


def logger_in(folder: Path, **settings: Any) -> RotatingFileLogger:
    return RotatingFileLogger(RotatingFileSettings(**settings), data_dir=folder, node="n1")


def lines_in(folder: Path) -> list[dict[str, Any]]:
    """All lines of all files, oldest first."""
    current, older = folder / "nexxus.log", folder.glob("nexxus.log.*")
    files = [*sorted(older, key=lambda file: -int(file.suffix[1:])), current]
    return [msgspec.json.decode(line) for file in files for line in file.read_bytes().splitlines()]


class TestRotatingFileLogger(LoggerConformance):
    @pytest.fixture
    async def logger(self, tmp_path: Path) -> AsyncIterator[RotatingFileLogger]:
        self.folder = tmp_path
        logger = logger_in(tmp_path, max_size=10_000, keep=1000)
        yield logger
        await logger.close()

    def unwritable(self) -> RotatingFileLogger:
        return logger_in(Path("/"), path="/dev/full")

    async def written(self) -> Sequence[Written]:
        return [
            Written(Level[line["level"].upper()], line["message"], line["fields"], line["error"])
            for line in lines_in(self.folder)
        ]


async def test_the_oldest_lines_go_when_there_are_enough_files(tmp_path: Path) -> None:
    logger = logger_in(tmp_path, max_size=1, keep=2)
    await logger.open()
    for number in range(5):
        logger.info("line", number=number)
    await logger.close()
    assert [line["fields"]["number"] for line in lines_in(tmp_path)] == [2, 3, 4]


async def test_without_older_files_one_is_begun_again_and_again(tmp_path: Path) -> None:
    logger = logger_in(tmp_path, max_size=1, keep=0)
    await logger.open()
    for number in range(3):
        logger.info("line", number=number)
    await logger.close()
    assert [line["fields"]["number"] for line in lines_in(tmp_path)] == [2]


async def test_a_start_goes_on_with_the_file_that_is_there(tmp_path: Path) -> None:
    for number in range(2):
        logger = logger_in(tmp_path)
        await logger.open()
        logger.info("line", number=number)
        await logger.close()
    assert [line["fields"]["number"] for line in lines_in(tmp_path)] == [0, 1]


async def test_what_could_not_be_written_is_counted(tmp_path: Path) -> None:
    logger = logger_in(tmp_path, max_size=1, keep=1)
    await logger.open()
    logger.info("first")
    obstacle = tmp_path / "nexxus.log.1" / "a folder that cannot be replaced by a file"
    obstacle.mkdir(parents=True)
    logger.info("lost")
    logger.info("lost, too")
    obstacle.rmdir()
    obstacle.parent.rmdir()
    logger.info("last")
    await logger.close()
    lines = [(line["message"], line["fields"]) for line in lines_in(tmp_path)]
    assert lines == [
        ("first", {}),
        ("some records could not be written", {"count": 2}),
        ("last", {}),
    ]


async def test_a_file_that_cannot_be_written_prevents_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"logger\.path"):
        await logger_in(tmp_path, path="..").open()
