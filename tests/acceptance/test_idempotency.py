"""Contract §4: a write that is sent again."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

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
async def test_the_same_key_of_another_user_is_another_key(signed: Any, new_client: Any) -> None:
    key, title = unique("key"), unique("title")
    ann = await new_client(signed).register_user(unique("ann"))
    bob = await new_client(signed).register_user(unique("bob"))

    for user in (ann, bob):
        response = await user.write("POST", "/model/task", {"title": title}, Idempotency_Key=key)
        assert response.status_code == 201
    assert await count_by_title(ann, title) == 2


@contract("a repeated key is applied once")
async def test_a_key_follows_the_user_to_another_device(signed: Any, new_client: Any) -> None:
    name, key = unique("ann"), unique("key")
    phone = await new_client(signed).register_user(name)
    laptop = await new_client(signed).sign_in(name)

    answers = [
        await device.write("POST", "/model/task", {"title": "x"}, Idempotency_Key=key)
        for device in (phone, laptop)
    ]

    assert answers[0].json()["data"]["id"] == answers[1].json()["data"]["id"]


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
