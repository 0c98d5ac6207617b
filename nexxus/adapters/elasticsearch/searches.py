"""Searches: one page of hits, at any offset."""

from __future__ import annotations

from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from nexxus.adapters.elasticsearch.documents import decode_document
from nexxus.adapters.elasticsearch.layouts import Layout
from nexxus.adapters.elasticsearch.queries import live_objects, order_of, place_of
from nexxus.domain.filters import Filter
from nexxus.domain.objects import Document
from nexxus.interfaces.database import Query

WINDOW: Final = 10_000
"""Elasticsearch's ``index.max_result_window``: what one request may reach."""


async def search_documents(
    client: AsyncElasticsearch, layout: Layout, query: Query
) -> list[Document]:
    """The matching objects in their order, as far as they are refreshed."""
    body: dict[str, Any] = {
        "query": live_objects(query.filter, layout),
        "sort": order_of(query),
        "track_total_hits": False,
    }
    after, skip, documents = place_of(query), query.offset, list[Document]()
    while len(documents) < query.limit:
        wanted = query.limit - len(documents)
        if skip == 0:
            page = {**body, "size": min(wanted, WINDOW), "_source": ["document"]}
        elif after is None and skip + wanted <= WINDOW:
            page = {**body, "size": wanted, "from": skip, "_source": ["document"]}
        else:
            # Too far for one request: go there page by page, along the sort values alone.
            page = {**body, "size": min(skip, WINDOW), "_source": False}
        if after is not None:
            page["search_after"] = after
        hits = await _hits(client, layout.index, page)
        if page["_source"]:
            documents += map(decode_document, hits)
            skip = 0
        else:
            skip -= len(hits)
        if len(hits) < page["size"]:
            break
        after = hits[-1]["sort"]
    return documents


async def count_documents(client: AsyncElasticsearch, layout: Layout, filter: Filter) -> int:
    """How many objects match, as far as they are refreshed."""
    body = {"query": live_objects(filter, layout), "size": 0, "track_total_hits": True}
    answer = await _search(client, layout.index, body)
    count: int = answer["hits"]["total"]["value"]
    return count


async def _hits(
    client: AsyncElasticsearch, index: str, body: dict[str, Any]
) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = (await _search(client, index, body))["hits"]["hits"]
    return hits


async def _search(client: AsyncElasticsearch, index: str, body: dict[str, Any]) -> Any:
    return await client.search(
        index=index, body=body, allow_partial_search_results=False, ignore_unavailable=True
    )
