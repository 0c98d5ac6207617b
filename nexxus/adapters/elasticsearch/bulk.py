"""Bulk writes: many conditional writes in one request, with an outcome for each.

A write that an overloaded node refuses (429), or that meets the short block of a rebuild, was
certainly not applied: it is sent again after a pause. If a write was certainly not applied for
another reason, the caller is informed. Any other may have been applied: `ServiceUnavailable`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import msgspec
from elasticsearch import ApiError, AsyncElasticsearch

from nexxus.adapters.elasticsearch.documents import Token
from nexxus.adapters.elasticsearch.problems import WRITE_BLOCK, cause_of, explain
from nexxus.errors import ServiceUnavailable
from nexxus.toolkit.backoff import Backoff

_LARGEST_REQUEST: Final = 8 * 1024 * 1024
"""Bytes; a server refuses more than 100 MB, and works best with far less."""

_MOST_ITEMS: Final = 1_000
# With jitter, because several callers overload a node together.
_AGAIN: Final = Backoff(first=0.01, longest=1.0, jitter=0.5)

_encode = msgspec.json.Encoder().encode


class BulkOutcome(Enum):
    """The outcome of one write."""

    APPLIED = auto()
    CONFLICTING = auto()
    """The stored document is not the one in the write's condition, or there is none."""
    MOVED = auto()
    """The target does not exist."""
    _POSTPONED = auto()


class BulkWrite(NamedTuple):
    """One conditional write.

    `target` is an index or an alias. `token` is that of the document to replace, None for one
    that must not be there yet. `source` is the document as JSON, None to remove it.
    """

    target: str
    id: str
    token: Token | None
    source: bytes | None


class _Answer(NamedTuple):
    outcome: BulkOutcome
    reason: str = ""


async def write_all(
    client: AsyncElasticsearch,
    writes: Sequence[BulkWrite],
    *,
    patience: float,
    require_alias: bool = True,
) -> list[BulkOutcome]:
    """Send the writes; return the outcome of each, in their order.

    Refused ones are tried again for `patience` seconds. With `require_alias`, a target that is not
    an alias counts as missing and is never created. Raises `ServiceUnavailable` if the outcome of
    any write is unknown.
    """
    deadline = time.monotonic() + patience
    outcomes: dict[int, BulkOutcome] = {}
    pending = list(range(len(writes)))
    failures = 0
    while True:
        reason = ""
        for part in _parts(writes, pending):
            answers = await _send(client, [writes[i] for i in part], require_alias, patience)
            for i, answer in zip(part, answers, strict=True):
                outcomes[i] = answer.outcome
                reason = answer.reason or reason
        pending = [i for i in pending if outcomes[i] is BulkOutcome._POSTPONED]
        if not pending:
            return [outcomes[i] for i in range(len(writes))]
        failures += 1
        pause = _AGAIN.delay(failures)
        if time.monotonic() + pause > deadline:
            raise ServiceUnavailable(reason)
        await asyncio.sleep(pause)


def _parts(writes: Sequence[BulkWrite], indices: Iterable[int]) -> Iterator[list[int]]:
    part: list[int] = []
    size = 0
    for i in indices:
        length = len(writes[i].source or b"")
        if part and (size + length > _LARGEST_REQUEST or len(part) == _MOST_ITEMS):
            yield part
            part, size = [], 0
        part.append(i)
        size += length
    if part:
        yield part


async def _send(
    client: AsyncElasticsearch, writes: Sequence[BulkWrite], require_alias: bool, patience: float
) -> list[_Answer]:
    # The client's type says mappings only; it takes encoded lines as they are.
    operations: list[Any] = [line for write in writes for line in _lines_of(write)]
    try:
        told = await client.bulk(
            operations=operations,
            require_alias=require_alias,
            # How long a shard that has just lost its primary is waited for.
            timeout=f"{round(patience * 800)}ms",
        )
    except ApiError as error:
        if error.meta.status != 429:
            raise
        reason = explain(429, *cause_of(error))
        return [_Answer(BulkOutcome._POSTPONED, reason)] * len(writes)
    return [_answer(next(iter(item.values()))) for item in told["items"]]


def _lines_of(write: BulkWrite) -> Iterator[bytes]:
    action: dict[str, Any] = {"_index": write.target, "_id": write.id}
    if write.token is not None:
        action["if_seq_no"], action["if_primary_term"] = write.token
    if write.source is None:
        yield _encode({"delete": action})
        return
    yield _encode({"create" if write.token is None else "index": action})
    yield write.source


def _answer(item: dict[str, Any]) -> _Answer:
    status: int = item["status"]
    if status < 300:
        return _Answer(BulkOutcome.APPLIED)
    error = item.get("error", {})
    kind, reason = error.get("type", ""), error.get("reason", "")
    match status, kind:
        case 409, _:
            return _Answer(BulkOutcome.CONFLICTING)
        case 404, "index_not_found_exception":
            return _Answer(BulkOutcome.MOVED)
        case 404, "":  # there is nothing to delete
            return _Answer(BulkOutcome.CONFLICTING)
        case 429, "es_rejected_execution_exception" | "circuit_breaking_exception":
            return _Answer(BulkOutcome._POSTPONED, explain(status, kind, reason))
        case _, "cluster_block_exception" if WRITE_BLOCK in reason:
            return _Answer(BulkOutcome._POSTPONED, explain(status, kind, reason))
        case _:
            raise ServiceUnavailable(explain(status, kind, reason))
