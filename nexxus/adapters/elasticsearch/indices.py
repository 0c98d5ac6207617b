"""Indices: creates and removes them, and caches their layouts."""

from __future__ import annotations

from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch

from nexxus.adapters.elasticsearch import names
from nexxus.adapters.elasticsearch.layouts import MAX_FIELDS, Layout, new_mapping, read_layout
from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings


class Indices:
    """The indices of one prefix. A cached layout may be out of date, but never ahead."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._known: dict[str, Layout] = {}

    def name(self, app_id: str, model: str) -> str:
        """The index of an application's model."""
        return names.index_of(self._settings.index_prefix, app_id, model)

    async def known(self, client: AsyncElasticsearch, index: str) -> Layout | None:
        """The layout as known; asks where nothing is. None when there is no such index."""
        return self._known.get(index) or await self.fetch(client, index)

    async def fetch(self, client: AsyncElasticsearch, index: str) -> Layout | None:
        """The layout as it is now; None when there is no such index."""
        answer = await client.indices.get(
            index=index, ignore_unavailable=True, features="aliases,mappings"
        )
        if index not in answer:
            self._known.pop(index, None)
            return None
        layout = self._known[index] = read_layout(index, answer[index])
        return layout

    async def create(self, client: AsyncElasticsearch, index: str, fields: frozenset[str]) -> None:
        """Make an index with these fields; nothing when it is there already."""
        layout = Layout(index, fields, fields, None)
        settings: dict[str, Any] = {
            "number_of_shards": self._settings.shards,
            "auto_expand_replicas": f"0-{self._settings.replicas}",
            "mapping": {"total_fields": {"limit": MAX_FIELDS}},
        }
        try:
            await client.indices.create(
                index=index,
                aliases={names.write_alias(index, layout.digest): {}},
                mappings=new_mapping(fields),
                settings={"index": settings},
            )
        except ApiError as error:
            if error.error != "resource_already_exists_exception":
                raise

    async def drop(self, client: AsyncElasticsearch, app_id: str) -> None:
        """Remove every index of an application with all that is in it."""
        pattern = names.indices_of(self._settings.index_prefix, app_id)
        answer = await client.indices.get(index=pattern, features="aliases")
        for index in answer:
            # One by one and by name: many clusters allow no wildcard here, and names add up.
            await client.indices.delete(index=index, ignore_unavailable=True)
            self._known.pop(index, None)
