"""Contract §4: what becomes of a write, and the order of an object's writes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from client import NexxusClient, assert_error, replace, unique

contract = partial(pytest.mark.contract, "4. Models")
CONFLICT = "VersionConflictException"


@contract("errors found by the writer are the operation's fate")
async def test_an_update_of_a_missing_object_is_rejected(client: NexxusClient) -> None:
    for work in (
        client.update("task", unique("none"), replace(points=1), wait=False),
        client.delete("task", unique("none"), wait=False),
    ):
        fate = await client.decided((await work)["operationId"])
        assert set(fate) == {"id", "state", "error"}
        assert fate["state"] == "rejected"
        assert fate["error"]["error"] == "ModelNotFoundException"
        assert fate["error"]["message"]


@contract("errors found by the writer are the operation's fate")
async def test_a_rejection_is_reported_to_the_writing_device(client: NexxusClient) -> None:
    await client.connect()

    taken = await client.delete("task", unique("none"), wait=False)

    frame = await client.wait_for("error")
    assert frame["data"]["code"] == "OPERATION_REJECTED"
    assert frame["data"]["operationId"] == taken["operationId"]
    assert frame["data"]["error"]["error"] == "ModelNotFoundException"


@contract("errors found by the writer are the operation's fate")
async def test_an_existing_id_cannot_be_created_again(client: NexxusClient) -> None:
    task = await client.create("task", id=unique("once"), title="first")

    response = await client.write("POST", "/model/task", {"id": task["id"], "title": "second"})

    assert_error(response, 409, CONFLICT)
    assert await client.get("task", task["id"]) == task


@contract("errors found by the writer are the operation's fate")
async def test_another_users_operation_is_not_found(signed: Any, new_client: Any) -> None:
    ann = await new_client(signed).register_user(unique("ann"))
    bob = await new_client(signed).register_user(unique("bob"))
    taken = await ann.create("task", title="x", wait=False)
    await ann.decided(taken["operationId"])

    for operation in (taken["operationId"], "no-such-operation"):
        await bob.refused("GET", f"/operation/{operation}", status=404, error="NotFoundException")


@contract("the expected version")
async def test_a_write_with_another_expected_version_is_rejected(client: NexxusClient) -> None:
    task = await client.create("task", title="x")
    path = f"/model/task/{task['id']}"

    await client.update("task", task["id"], replace(points=1), ifVersion=1)
    response = await client.write("PUT", path, {"patch": replace(points=2), "ifVersion": 1})
    assert_error(response, 409, CONFLICT)
    assert_error(await client.write("DELETE", path, {"ifVersion": 1}), 409, CONFLICT)
    assert_error(await client.write("DELETE", f"{path}?ifVersion=1"), 409, CONFLICT)
    assert (await client.get("task", task["id"]))["points"] == 1

    response = await client.write("DELETE", f"{path}?ifVersion=2")
    assert response.status_code == 200


@contract("the expected version")
async def test_of_many_writers_expecting_the_same_version_one_wins(client: NexxusClient) -> None:
    task = await client.create("task", title="x", points=0)
    path = f"/model/task/{task['id']}"

    answers = await asyncio.gather(
        *(
            client.write("PUT", path, {"patch": replace(points=n), "ifVersion": 1})
            for n in range(10)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert (await client.get("task", task["id"]))["version"] == 2


@contract("versions continue after a delete")
async def test_versions_continue_when_an_id_is_created_again(client: NexxusClient) -> None:
    task = await client.create("task", id=unique("phoenix"), title="first", points=1)
    await client.delete("task", task["id"])

    again = await client.create("task", id=task["id"], title="second")

    assert again["version"] == 3
    assert "points" not in again
    assert await client.get("task", task["id"]) == again
    assert (await client.update("task", task["id"], replace(points=2)))["version"] == 4


@contract("writes apply in the order accepted")
async def test_writes_of_one_object_apply_in_the_order_in_which_they_were_accepted(
    client: NexxusClient,
) -> None:
    object_id = unique("ordered")
    await client.create("task", id=object_id, title="", wait=False)

    for letter in "abcdefghijklmnopqrst":
        patch = {"op": "append", "path": "title", "value": letter}
        last = await client.update("task", object_id, patch, wait=False)

    assert (await client.decided(last["operationId"]))["version"] == 21
    assert (await client.get("task", object_id))["title"] == "abcdefghijklmnopqrst"


@contract("no accepted write is lost")
async def test_concurrent_increments_all_count(client: NexxusClient) -> None:
    task = await client.create("task", title="x", points=0)
    patch = {"op": "incr", "path": "points", "value": 1}

    await asyncio.gather(*(client.update("task", task["id"], patch) for _ in range(50)))

    stored = await client.get("task", task["id"])
    assert (stored["points"], stored["version"]) == (50, 51)
