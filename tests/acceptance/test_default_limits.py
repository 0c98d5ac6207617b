"""Contract §1: the limits that hold without any configuration."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import httpx2
import pytest
from client import NexxusClient, assert_error

contract = partial(pytest.mark.contract, "1. Tenancy and headers")


@contract("limits")
async def test_a_body_over_a_mebibyte_is_too_large(client: NexxusClient) -> None:
    await client.refused(
        "POST",
        "/model/task",
        {"title": "x" * (1 << 20)},
        status=413,
        error="PayloadTooLargeException",
    )


@contract("limits")
async def test_a_streamed_body_that_grows_over_the_limit_is_too_large(
    client: NexxusClient,
) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b" " * 65536

    try:
        response = await client.send(
            "POST", "/model/task", headers={"Content-Type": "application/json"}, content=endless()
        )
    except (httpx2.WriteError, httpx2.ReadError):
        return  # refused before the rest could be sent
    assert_error(response, 413, "PayloadTooLargeException")


@contract("limits")
async def test_a_body_just_under_the_limit_is_accepted(client: NexxusClient) -> None:
    task = await client.create("task", title="x" * (1_000_000))

    assert len((await client.get("task", task["id"]))["title"]) == 1_000_000


@contract("limits.object: no write makes a larger object")
async def test_appending_does_not_make_an_object_larger_than_a_mebibyte(
    client: NexxusClient,
) -> None:
    task = await client.create("task", title="")
    patch = {"patch": {"op": "append", "path": "title", "value": "x" * 400_000}}
    for _ in range(2):
        assert (await client.write("PUT", f"/model/task/{task['id']}", patch)).status_code == 200

    response = await client.write("PUT", f"/model/task/{task['id']}", patch)

    assert_error(response, 413, "PayloadTooLargeException", "1048576", "limits.object")
    fate = await client.fate(response.headers["nxx-operation-id"])
    assert (fate["state"], fate["error"]["error"]) == ("rejected", "PayloadTooLargeException")
    assert len((await client.get("task", task["id"]))["title"]) == 800_000


@contract("limits.object: no write makes a larger object")
async def test_the_built_in_fields_count_too(client: NexxusClient) -> None:
    await client.refused(
        "POST",
        "/model/task",
        {"title": "x" * ((1 << 20) - 40)},
        "limits.object",
        status=413,
        error="PayloadTooLargeException",
    )


@contract("limits")
@pytest.mark.parametrize("depth", [65, 10_000, 200_000])
async def test_a_body_nested_deeper_than_64_levels_is_refused(
    client: NexxusClient, depth: int
) -> None:
    content = b'{"a":' * depth + b"1" + b"}" * depth
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": "application/json"},
        content=content if len(content) < 1 << 20 else b"[" * depth + b"]" * depth,
    )

    assert_error(response, 400, "InvalidParametersException")


@contract("limits")
async def test_a_filter_may_have_256_conditions_and_no_more(client: NexxusClient) -> None:
    fits = {"$or": [{"points": {"gt": 10_000 + n}} for n in range(256)]}
    assert await client.count("task", filter=fits) == 0

    large = {"$or": [{"points": {"gt": n}} for n in range(257)]}
    await client.refused("POST", "/model/count", {"type": "task", "filter": large}, "filter")


@contract("limits")
async def test_the_eleventh_failed_sign_in_of_a_minute_must_wait(
    signed: Any, new_client: Any
) -> None:
    client = new_client(signed)
    await client.register_user("besieged", "the right one")
    body = {"username": "besieged", "password": "a wrong one"}

    # A new minute may begin meanwhile: then ten more attempts are allowed, but never thirty.
    for _ in range(30):
        response = await client.send("POST", "/auth/local", body, authorized=False)
        if response.status_code == 429:
            break
        assert_error(response, 401, "UserAuthenticationFailedException")

    assert_error(response, 429, "TooManyRequestsException")
    assert int(response.headers["retry-after"]) >= 1
    other = await new_client(signed).register_user("in peace")
    await other.sign_in("in peace")


@contract("limits")
async def test_concurrent_failed_sign_ins_are_counted(signed: Any, new_client: Any) -> None:
    client = new_client(signed)
    await client.register_user("stormed", "the right one")

    async def knock(password: str) -> int:
        body = {"username": "stormed", "password": password}
        return (await client.send("POST", "/auth/local", body, authorized=False)).status_code

    right = await asyncio.gather(*(knock("the right one") for _ in range(20)))
    wrong = await asyncio.gather(*(knock("a wrong one") for _ in range(40)))

    assert set(right) == {200}
    # A new minute may begin meanwhile.
    assert wrong.count(401) in (10, 20)
    assert wrong.count(429) == 40 - wrong.count(401)
