"""Contract §4: a write that is sent again."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from client import NexxusClient, assert_error, unique
from waiting import eventually

contract = partial(pytest.mark.contract, "4. Models")


async def count_by_title(client: NexxusClient, title: str) -> int:
    return await client.count("task", filter={"title": title})


@contract("a repeated key is applied once")
async def test_a_retry_with_the_same_key_returns_the_same_ids(
    client: NexxusClient,
) -> None:
    title = unique("idempotent")
    key = unique("key")

    answers = [
        await client.write("POST", "/model/task", {"title": title}, wait=False, Idempotency_Key=key)
        for _ in range(3)
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    await client.decided(answers[0].json()["data"]["operationId"])
    assert await count_by_title(client, title) == 1


@contract("a repeated key is applied once")
async def test_concurrent_retries_are_applied_once(client: NexxusClient) -> None:
    task = await client.create("task", title="x", points=0)
    body = {"patch": {"op": "incr", "path": "points", "value": 1}}
    key = unique("key")

    answers = await asyncio.gather(
        *(
            client.write("PUT", f"/model/task/{task['id']}", body, Idempotency_Key=key)
            for _ in range(8)
        )
    )

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["nxx-operation-id"] for answer in answers}) == 1
    stored = await client.get("task", task["id"])
    assert (stored["points"], stored["version"]) == (1, 2)


@contract("a repeated key is applied once")
async def test_a_create_that_is_repeated_after_the_object_was_deleted_is_still_applied(
    client: NexxusClient,
) -> None:
    key, body = unique("key"), {"title": "x"}
    first = await client.write("POST", "/model/task", body, Idempotency_Key=key)
    object_id = first.json()["data"]["id"]
    await client.delete("task", object_id)

    again = await client.write("POST", "/model/task", body, Idempotency_Key=key)

    assert again.status_code == first.status_code == 201
    assert again.json()["data"] == {"id": object_id, "type": "task", "version": 1}


@contract("a repeated key is applied once")
async def test_a_key_used_for_another_request_is_refused(client: NexxusClient) -> None:
    key = unique("key")
    await client.write("POST", "/model/task", {"title": "x"}, Idempotency_Key=key)

    for method, path, body in [
        ("POST", "/model/task", {"title": "y"}),
        ("POST", "/model/note", {"text": "x"}),
        ("DELETE", "/model/task/x", None),
    ]:
        response = await client.write(method, path, body, Idempotency_Key=key)
        assert_error(response, 400, "InvalidParametersException")


@contract("a repeated key is applied once")
async def test_a_transient_object_is_pushed_once_for_a_key(client: NexxusClient) -> None:
    await client.connect()
    view = await client.subscribe("cursor")
    key = unique("key")

    answers = [
        await client.write("POST", "/model/cursor", {"x": 1}, wait=False, Idempotency_Key=key)
        for _ in range(2)
    ]
    await client.create("cursor", x=2)

    assert answers[0].json() == answers[1].json()
    await eventually(lambda: view.transients and view.transients[-1]["x"] == 2)
    assert [each["x"] for each in view.transients] == [1, 2]
