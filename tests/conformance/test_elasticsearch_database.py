"""The Elasticsearch database keeps what every database promises."""

from collections.abc import AsyncIterator

import pytest
from elasticsearch_server import new_index_prefix
from services.elasticsearch import ElasticsearchServer

from nexxus.adapters.elasticsearch.database import ElasticsearchDatabase
from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings
from nexxus.interfaces.database import Database
from nexxus.testing.database_kit import DatabaseConformance


class TestElasticsearchDatabase(DatabaseConformance):
    @pytest.fixture
    async def database(
        self, elasticsearch_server: ElasticsearchServer
    ) -> AsyncIterator[ElasticsearchDatabase]:
        with new_index_prefix(elasticsearch_server) as prefix:
            self.settings = ElasticsearchSettings(
                urls=(elasticsearch_server.url,), index_prefix=prefix
            )
            database = ElasticsearchDatabase(self.settings)
            await database.open()
            yield database
            await database.close()

    async def reopen(self, database: Database) -> ElasticsearchDatabase:
        await database.close()
        reopened = ElasticsearchDatabase(self.settings)
        await reopened.open()
        return reopened
