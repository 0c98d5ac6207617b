"""The database keeps what every database promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus.domain.objects import ObjectKey
from nexxus.domain.schema import compile_model
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.database import Database, Mutation, Query, Record
from nexxus.testing.database_kit import DatabaseConformance
from nexxus_lmdb.database import LmdbDatabase
from nexxus_lmdb.settings import LmdbSettings

TASK = compile_model("task", {"fields": {}})
COUNTER = ObjectKey("app", "task", "counter")


class TestLmdbDatabase(DatabaseConformance):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[LmdbDatabase]:
        self.data_dir = tmp_path
        database = LmdbDatabase(LmdbSettings(), data_dir=tmp_path)
        await database.open()
        yield database
        await database.close()

    async def reopen(self, database: Database) -> Database:
        await database.close()
        reopened = LmdbDatabase(LmdbSettings(), data_dir=self.data_dir)
        await reopened.open()
        return reopened


def increment_in_another_process(folder: Path, times: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, str(folder), str(times)])


async def increment(folder: Path, times: int) -> None:
    database = LmdbDatabase(LmdbSettings(), data_dir=folder)
    await database.open()
    for _ in range(times):
        while not await add_one(database):
            pass
    await database.close()


async def add_one(database: LmdbDatabase) -> bool:
    """Try to increment the counter; False if somebody else was faster."""
    (stored,) = await database.load([COUNTER])
    version = 1 if stored is None else stored.version + 1
    document = {"id": "counter", "type": "task", "appId": "app", "version": version}
    (is_applied,) = await database.commit([Mutation(COUNTER, stored, Record(document, version))])
    return is_applied


async def test_processes_that_share_a_file_compare_and_set_one_after_the_other(
    tmp_path: Path,
) -> None:
    database = LmdbDatabase(LmdbSettings(), data_dir=tmp_path)
    await database.open()
    await database.prepare("app", [TASK])
    others = [increment_in_another_process(tmp_path, 50) for _ in range(2)]

    assert [await asyncio.to_thread(other.wait) for other in others] == [0, 0]

    (found,) = await database.search(Query("app", TASK))
    assert found["version"] == 100
    await database.close()


async def test_a_file_that_has_reached_its_largest_size_refuses_writes_and_can_be_read(
    tmp_path: Path,
) -> None:
    database = LmdbDatabase(LmdbSettings(map_size=1), data_dir=tmp_path)
    await database.open()
    await database.prepare("app", [TASK])
    assert await add_one(database)
    large = Record({"id": "large", "type": "task", "text": "x" * 2_000_000}, 1)

    with pytest.raises(ServiceUnavailable, match=r"raise database\.map_size"):
        await database.commit([Mutation(ObjectKey("app", "task", "large"), None, large)])

    assert await add_one(database)
    assert await database.count("app", TASK) == 1
    await database.close()


async def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nexxus.lmdb").write_bytes(b"not LMDB" * 1000)
    with pytest.raises(StartupError, match="restore a backup"):
        await LmdbDatabase(LmdbSettings(), data_dir=tmp_path).open()


if __name__ == "__main__":
    asyncio.run(increment(Path(sys.argv[1]), int(sys.argv[2])))
