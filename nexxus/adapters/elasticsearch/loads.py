"""Loading records by their keys: in real time, past what searches can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from nexxus.adapters.elasticsearch.documents import STORED, decode_record
from nexxus.adapters.elasticsearch.indices import Indices
from nexxus.adapters.elasticsearch.problems import explain
from nexxus.domain.objects import ObjectKey
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.database import Record

_AT_ONCE: Final = 1_000


async def load_records(
    client: AsyncElasticsearch, indices: Indices, keys: Sequence[ObjectKey]
) -> list[Record | None]:
    """The records, tombstones included, in the order of `keys`; None where nothing is stored."""
    records: list[Record | None] = []
    for start in range(0, len(keys), _AT_ONCE):
        wanted = [
            {"_index": indices.name(key.app_id, key.type), "_id": key.id}
            for key in keys[start : start + _AT_ONCE]
        ]
        answer = await client.mget(docs=wanted, source_includes=list(STORED))
        records += map(_record, answer["docs"])
    return records


def _record(found: dict[str, Any]) -> Record | None:
    error = found.get("error")
    if error is None:
        return decode_record(found) if found["found"] else None
    if error["type"] == "index_not_found_exception":
        return None
    raise ServiceUnavailable(explain(503, error["type"], error["reason"]))
