"""Filters and pages of the toolkit mean on PostgreSQL what they mean to the matcher.

There is no PostgreSQL adapter here: the kit's own tests of filters and pages run against the
statements that the toolkit compiles for two dialects of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from postgres_database import FilteringPostgres, Way
from services.postgres import PostgresServer

from nexxus.testing.database_kit.filters import FiltersConformance
from nexxus.testing.database_kit.pages import PagesConformance


class _OnPostgres(FiltersConformance, PagesConformance):
    way: Way

    @pytest.fixture
    async def database(self, postgres_server: PostgresServer) -> AsyncIterator[FilteringPostgres]:
        database = FilteringPostgres(postgres_server.url, self.way)
        await database.open()
        yield database
        await database.close()


class TestTypedColumns(_OnPostgres):
    way = "typed"


class TestJsonb(_OnPostgres):
    way = "jsonb"
