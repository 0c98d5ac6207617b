"""Every write of a bulk has its own outcome, and refused writes are sent again."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError, AsyncElasticsearch

from nexxus.adapters.elasticsearch.bulk import BulkOutcome, BulkWrite, write_all
from nexxus.adapters.elasticsearch.documents import Token
from nexxus.errors import ServiceUnavailable

OK = {"status": 201}
BUSY = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue"}}
CONFLICT = {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": ""}}
NOT_THERE = {"status": 404, "error": {"type": "index_not_found_exception", "reason": ""}}
BLOCKED = {
    "status": 403,
    "error": {
        "type": "cluster_block_exception",
        "reason": "index [x] blocked by: [FORBIDDEN/8/index write (api)];",
    },
}
FLOODED = {
    "status": 429,
    "error": {
        "type": "cluster_block_exception",
        "reason": "blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, "
        "index has read-only-allow-delete block];",
    },
}
NO_PRIMARY = {"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "no"}}


class Scripted:
    """A server with prepared responses, for single items or whole requests."""

    def __init__(self, *answers: list[dict[str, Any]] | int) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []

    async def bulk(self, *, operations: list[bytes], **_: Any) -> dict[str, Any]:
        actions = [json.loads(line) for line in operations[::2]]
        self.asked.append([next(iter(action.values()))["_id"] for action in actions])
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            node = NodeConfig("http", "127.0.0.1", 9200)
            meta = ApiResponseMeta(answer, "1.1", HttpHeaders(), 0.0, node)
            raise ApiError("refused", meta, {"error": {"type": "busy", "reason": "busy"}})
        return {"items": [{"index": item} for item in answer]}


async def outcomes(server: Scripted, *names: str, patience: float = 5.0) -> list[BulkOutcome]:
    writes = [BulkWrite("alias", name, Token(1, 1), b"{}") for name in names]
    return await write_all(cast("AsyncElasticsearch", server), writes, patience=patience)


async def test_each_write_has_its_own_outcome() -> None:
    server = Scripted([OK, CONFLICT, NOT_THERE])
    assert await outcomes(server, "a", "b", "c") == [
        BulkOutcome.APPLIED,
        BulkOutcome.CONFLICTING,
        BulkOutcome.MOVED,
    ]


@pytest.mark.parametrize("refusal", [BUSY, BLOCKED], ids=["overloaded", "being rebuilt"])
async def test_only_refused_writes_are_sent_again(refusal: dict[str, Any]) -> None:
    server = Scripted([OK, refusal, CONFLICT, refusal], [refusal, OK], [OK])
    assert await outcomes(server, "a", "b", "c", "d") == [
        BulkOutcome.APPLIED,
        BulkOutcome.APPLIED,
        BulkOutcome.CONFLICTING,
        BulkOutcome.APPLIED,
    ]
    assert server.asked == [["a", "b", "c", "d"], ["b", "d"], ["b"]]


async def test_a_request_that_is_refused_as_a_whole_is_sent_again() -> None:
    server = Scripted(429, [OK, OK])
    assert await outcomes(server, "a", "b") == [BulkOutcome.APPLIED, BulkOutcome.APPLIED]


async def test_retries_end_after_a_while() -> None:
    server = Scripted(*[[BUSY]] * 20)
    with pytest.raises(ServiceUnavailable, match="overloaded"):
        await outcomes(server, "a", patience=0.05)


async def test_a_full_disk_is_reported_immediately_with_the_fix() -> None:
    server = Scripted([OK, FLOODED])
    with pytest.raises(ServiceUnavailable, match="free space or add a node"):
        await outcomes(server, "a", "b")


async def test_a_write_with_an_unknown_outcome_makes_the_commit_unknown() -> None:
    server = Scripted([OK, NO_PRIMARY])
    with pytest.raises(ServiceUnavailable, match="a shard is missing"):
        await outcomes(server, "a", "b")


async def test_large_writes_go_in_several_requests() -> None:
    writes = [BulkWrite("alias", f"w{n}", None, b"x" * 3_000_000) for n in range(5)]
    server = Scripted([OK, OK], [OK, OK], [OK])
    told = await write_all(cast("AsyncElasticsearch", server), writes, patience=5)
    assert told == [BulkOutcome.APPLIED] * 5
    assert [len(asked) for asked in server.asked] == [2, 2, 1]
