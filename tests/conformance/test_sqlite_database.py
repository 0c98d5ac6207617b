"""The embedded database keeps what every database promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.interfaces.database import Database
from nexxus.testing.database_kit import DatabaseConformance


class TestSqliteDatabase(DatabaseConformance):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
        self.data_dir = tmp_path
        database = SqliteDatabase(SqliteSettings(), data_dir=tmp_path)
        await database.open()
        yield database
        await database.close()

    async def reopen(self, database: Database) -> Database:
        await database.close()
        reopened = SqliteDatabase(SqliteSettings(), data_dir=self.data_dir)
        await reopened.open()
        return reopened
