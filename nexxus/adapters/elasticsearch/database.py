"""The database in an Elasticsearch cluster, for any number of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from elasticsearch import AsyncElasticsearch

from nexxus.adapters.elasticsearch.commits import commit
from nexxus.adapters.elasticsearch.indices import Indices
from nexxus.adapters.elasticsearch.layouts import Layout, fields_of
from nexxus.adapters.elasticsearch.link import ElasticsearchLink
from nexxus.adapters.elasticsearch.loads import load_records
from nexxus.adapters.elasticsearch.names import all_indices
from nexxus.adapters.elasticsearch.purges import purge_tombstones
from nexxus.adapters.elasticsearch.rebuilds import prepare_index
from nexxus.adapters.elasticsearch.refreshes import Refreshes
from nexxus.adapters.elasticsearch.searches import count_documents, search_documents
from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.database import Database, Mutation, Query, Record


class ElasticsearchDatabase(Database):
    """Stores every application's models in an index each."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._prefix = settings.index_prefix
        self._patience = settings.request_timeout
        self._link = ElasticsearchLink(settings)
        self._indices = Indices(settings)
        self._refreshes = Refreshes()

    async def open(self) -> None:
        await self._link.open()

    async def close(self) -> None:
        await self._link.close()

    async def ping(self) -> None:
        async with self._link.call(reads=True) as client:
            health = await client.cluster.health(index=all_indices(self._prefix), timeout="1s")
        if health["status"] == "red":
            raise ServiceUnavailable(
                "Elasticsearch is red: some objects cannot be reached until a node comes back; "
                "see GET _cluster/allocation/explain"
            )

    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        async with self._link.call() as client:
            for model in models:
                if not model.transient:
                    index = self._indices.name(app_id, model.name)
                    await prepare_index(
                        client, self._indices, index, model, patience=self._patience
                    )

    async def drop(self, app_id: str) -> None:
        async with self._link.call() as client:
            await self._indices.drop(client, app_id)

    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        async with self._link.call(reads=True) as client:
            return await load_records(client, self._indices, keys)

    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        async with self._link.call() as client:
            return await commit(client, self._indices, mutations, patience=self._patience)

    async def search(self, query: Query) -> list[Document]:
        async with self._link.call(reads=True) as client:
            layout = await self._searchable(client, query.app_id, query.model)
            return [] if layout is None else await search_documents(client, layout, query)

    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        async with self._link.call(reads=True) as client:
            layout = await self._searchable(client, app_id, model)
            return 0 if layout is None else await count_documents(client, layout, filter)

    async def purge(self, deleted_before: int) -> int:
        async with self._link.call() as client:
            return await purge_tombstones(
                client, all_indices(self._prefix), deleted_before, patience=self._patience
            )

    async def _searchable(
        self, client: AsyncElasticsearch, app_id: str, model: ModelType
    ) -> Layout | None:
        """The layout of a model's index, refreshed; None where there is no index."""
        index = self._indices.name(app_id, model.name)
        wanted = fields_of(model)
        layout = await self._indices.known(client, index)
        if layout is not None and not wanted <= layout.ready:
            layout = await self._indices.fetch(client, index)
        if layout is None:
            return None
        missing = wanted - layout.ready
        if missing:
            raise ServiceUnavailable(
                f"{min(missing)} of {index} cannot be filtered or sorted by yet: the model is "
                "being prepared; try again"
            )
        await self._refreshes.refresh(client, index)
        return layout
