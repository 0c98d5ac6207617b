"""Rebuilds: an index gets new fields while all nodes continue to write to it.

There is one document per object. A rebuild rewrites it in place, by compare-and-set like any
writer, so nothing can be lost. These steps ensure that at the end every document has every field:

1. The new fields are added to the mapping. (If two nodes do this concurrently, it gets the fields
of
   both.)
2. The index is written only through an alias, whose name has the digest of the fields. It is
   exchanged for the one of the new fields, by compare-and-set: the former must be there. Who still
   writes in the former layout is told that there is no such alias, learns the new layout, and
   writes again. What a rebuild rewrites goes through the alias, too.
3. A write that had passed the alias just before may still be on its way. The index is blocked for
   writes, and released at once: Elasticsearch confirms a block when no write that came before it is
   under way on any shard. (Who meets the block waits some milliseconds.) From here on every
   document that is written has all fields.
4. Documents of another layout are searched for and rewritten until there are none. One that
   somebody else changes meanwhile has all fields thereby.
5. The fields are declared ready. A crash before that leaves them as not ready, and the next
   preparation begins again, so that it also lifts a block that was left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

from elasticsearch import AsyncElasticsearch, NotFoundError

from nexxus.adapters.elasticsearch import names
from nexxus.adapters.elasticsearch.bulk import BulkOutcome, BulkWrite, write_all
from nexxus.adapters.elasticsearch.documents import STORED, decode_record, encode_record
from nexxus.adapters.elasticsearch.indices import Indices
from nexxus.adapters.elasticsearch.layouts import (
    MAX_FIELDS,
    Layout,
    fields_of,
    mapping_of,
    readiness_of,
)
from nexxus.domain.schema import ModelType
from nexxus.errors import InvalidParameters

_PAGE: Final = 500
_LONGEST_PAUSE: Final = 0.2


async def prepare_index(
    client: AsyncElasticsearch,
    indices: Indices,
    index: str,
    model: ModelType,
    *,
    patience: float,
) -> None:
    """Create or adapt a model's index; on return every field that the model needs is ready."""
    wanted = fields_of(model)
    if 2 * len(wanted) > MAX_FIELDS - 100:
        raise InvalidParameters(
            f"schema.{model.name}: Elasticsearch holds at most {MAX_FIELDS // 2 - 50} filterable "
            "fields per model"
        )
    while True:
        layout = await indices.fetch(client, index)
        if layout is None:
            await indices.create(client, index, wanted)
        elif not wanted <= layout.fields:
            await _add_properties(client, index, mapping_of(wanted - layout.fields))
        elif wanted <= layout.ready and layout.write_alias is not None:
            return
        elif (
            await _redirect_writers(client, layout)
            and await _await_writers(client, index)
            and await _rewrite(client, layout, patience)
        ):
            await _add_properties(client, index, readiness_of(layout.fields))


async def _add_properties(
    client: AsyncElasticsearch, index: str, properties: dict[str, Any]
) -> None:
    try:
        await client.indices.put_mapping(index=index, properties=properties)
    except NotFoundError:  # dropped just now: the caller looks again
        return


async def _redirect_writers(client: AsyncElasticsearch, layout: Layout) -> bool:
    """Let only those write who know the layout; False when it is known no longer itself."""
    alias = names.write_alias(layout.index, layout.digest)
    if layout.write_alias == alias:
        return True
    actions: list[dict[str, Any]] = [{"add": {"index": layout.index, "alias": alias}}]
    if layout.write_alias is not None:
        former = {"index": layout.index, "alias": layout.write_alias, "must_exist": True}
        actions.insert(0, {"remove": former})
    try:
        await client.indices.update_aliases(actions=actions)
    except NotFoundError:
        return False
    return True


async def _await_writers(client: AsyncElasticsearch, index: str) -> bool:
    """Return when every write that began before has ended; False when that is not certain.

    Not certain is it when another node that does the same has lifted the block too early. Then
    both pause at random, so that one is alone the next time.
    """
    try:
        answer = await client.indices.add_block(index=index, block="write")
    except NotFoundError:
        return False
    finally:
        # Also when cancelled, and when the answer did not come: a block must not be left.
        await asyncio.shield(_lift_block(client, index))
    if answer["acknowledged"] and answer["shards_acknowledged"]:
        return True
    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    return False


async def _lift_block(client: AsyncElasticsearch, index: str) -> None:
    try:
        await client.indices.put_settings(index=index, settings={"index.blocks.write": None})
    except NotFoundError:
        return


async def _rewrite(client: AsyncElasticsearch, layout: Layout, patience: float) -> bool:
    """Rewrite the documents of other layouts; False when the layout is out of date."""
    while True:
        await client.indices.refresh(index=layout.index, ignore_unavailable=True)
        found = False
        after: list[Any] | None = None
        while hits := await _outdated(client, layout, after):
            found = True
            after = hits[-1]["sort"]
            if not await _rewrite_some(client, layout, hits, patience):
                return False
        if not found:
            return True


async def _outdated(
    client: AsyncElasticsearch, layout: Layout, after: list[Any] | None
) -> Sequence[dict[str, Any]]:
    """Some documents of other layouts, by id. Tombstones are never searched for."""
    other = [{"term": {"layout": layout.digest}}, {"exists": {"field": "deletedAt"}}]
    answer = await client.search(
        index=layout.index,
        query={"bool": {"must_not": other}},
        sort=[{"keyword.id": "asc"}],
        search_after=after,
        size=_PAGE,
        source_includes=list(STORED),
        seq_no_primary_term=True,
        track_total_hits=False,
        allow_partial_search_results=False,
        ignore_unavailable=True,
    )
    hits: Sequence[dict[str, Any]] = answer["hits"]["hits"]
    return hits


async def _rewrite_some(
    client: AsyncElasticsearch, layout: Layout, hits: Sequence[dict[str, Any]], patience: float
) -> bool:
    alias = names.write_alias(layout.index, layout.digest)
    writes = []
    for hit in hits:
        record = decode_record(hit)
        writes.append(BulkWrite(alias, hit["_id"], record.token, encode_record(record, layout)))
    outcomes = await write_all(client, writes, patience=patience)
    return BulkOutcome.MOVED not in outcomes
