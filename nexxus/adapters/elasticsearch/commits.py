"""Commits: compare-and-set of many records in as few requests as possible.

The condition of a write is the token of the record that was loaded. A rebuild changes the token
but not the version, and versions are what counts: where a token is out of date, the record is
loaded again, and when its version is still the expected one, its token is used instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from elasticsearch import AsyncElasticsearch

from nexxus.adapters.elasticsearch.bulk import BulkOutcome, BulkWrite, write_all
from nexxus.adapters.elasticsearch.documents import Token, encode_record
from nexxus.adapters.elasticsearch.indices import Indices
from nexxus.adapters.elasticsearch.loads import load_records
from nexxus.errors import ModelNotFound, ServiceUnavailable
from nexxus.interfaces.database import Mutation

_ROUNDS: Final = 20
"""One for each layout or token that changes meanwhile: two are rare."""


async def commit(
    client: AsyncElasticsearch,
    indices: Indices,
    mutations: Sequence[Mutation],
    *,
    patience: float,
) -> list[bool]:
    """Return whether each mutation took effect. Raises `ServiceUnavailable` if that is unknown."""
    results = [False] * len(mutations)
    tokens: dict[int, Token | None] = {}
    unknown = []
    for i, mutation in enumerate(mutations):
        if mutation.expected is None:
            tokens[i] = None
        elif mutation.expected.token is None:
            unknown.append(i)
        else:
            tokens[i] = mutation.expected.token
    tokens |= await _renewed_tokens(client, indices, mutations, unknown)
    for _ in range(_ROUNDS):
        if not tokens:
            return results
        writes = [await _write(client, indices, mutations[i], t) for i, t in tokens.items()]
        found = await write_all(client, writes, patience=patience)
        outcomes = dict(zip(tokens, found, strict=True))
        for i, outcome in outcomes.items():
            results[i] = outcome is BulkOutcome.APPLIED
        moved = {i: tokens[i] for i, outcome in outcomes.items() if outcome is BulkOutcome.MOVED}
        for index in {_index_of(indices, mutations[i]) for i in moved}:
            await indices.fetch(client, index)
        lost = [
            i
            for i, outcome in outcomes.items()
            if outcome is BulkOutcome.CONFLICTING and mutations[i].expected is not None
        ]
        tokens = moved | await _renewed_tokens(client, indices, mutations, lost)
    raise ServiceUnavailable("an index is changed again and again while it is written; try again")


async def _renewed_tokens(
    client: AsyncElasticsearch, indices: Indices, mutations: Sequence[Mutation], of: Iterable[int]
) -> dict[int, Token | None]:
    """Those `of` the mutations whose expected version is what is stored, with its token."""
    places = list(of)
    records = await load_records(client, indices, [mutations[i].key for i in places])
    tokens: dict[int, Token | None] = {}
    for i, record in zip(places, records, strict=True):
        expected = mutations[i].expected
        if record is not None and expected is not None and record.version == expected.version:
            tokens[i] = record.token
    return tokens


async def _write(
    client: AsyncElasticsearch, indices: Indices, mutation: Mutation, token: Token | None
) -> BulkWrite:
    layout = await indices.known(client, _index_of(indices, mutation))
    if layout is None or layout.write_alias is None:
        key = mutation.key
        raise ModelNotFound(f"the application {key.app_id!r} stores no {key.type!r}")
    source = encode_record(mutation.record, layout)
    return BulkWrite(layout.write_alias, mutation.key.id, token, source)


def _index_of(indices: Indices, mutation: Mutation) -> str:
    return indices.name(mutation.key.app_id, mutation.key.type)
