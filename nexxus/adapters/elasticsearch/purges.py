"""Purging: removes old tombstones, with one compare-and-set each."""

from __future__ import annotations

from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from nexxus.adapters.elasticsearch.bulk import BulkOutcome, BulkWrite, write_all
from nexxus.adapters.elasticsearch.documents import Token

_PAGE: Final = 1_000


async def purge_tombstones(
    client: AsyncElasticsearch, pattern: str, deleted_before: int, *, patience: float
) -> int:
    """Remove the tombstones of deletes before that UNIX second; how many this call removed.

    One that is written meanwhile (an id created again) stays; one that another node purges at
    the same time is counted there.
    """
    purged = 0
    await client.indices.refresh(index=pattern)
    after: list[Any] | None = None
    while True:
        answer = await client.search(
            index=pattern,
            query={"range": {"deletedAt": {"lt": deleted_before}}},
            sort=["deletedAt", "keyword.id", "_index"],
            search_after=after,
            size=_PAGE,
            source=False,
            seq_no_primary_term=True,
            track_total_hits=False,
            allow_partial_search_results=False,
        )
        hits = answer["hits"]["hits"]
        if not hits:
            return purged
        writes = [
            BulkWrite(hit["_index"], hit["_id"], Token(hit["_seq_no"], hit["_primary_term"]), None)
            for hit in hits
        ]
        outcomes = await write_all(client, writes, patience=patience, require_alias=False)
        purged += outcomes.count(BulkOutcome.APPLIED)
        after = hits[-1]["sort"]
