"""Contract §4: objects are written, patched, read, searched and counted."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import NexxusClient, assert_error, replace

contract = partial(pytest.mark.contract, "4. Models")


# Routes


@contract("writes are accepted, then stored")
async def test_a_create_is_accepted_and_then_applied(client: NexxusClient) -> None:
    response = await client.write("POST", "/model/task", {"title": "x"}, wait=False)

    assert response.status_code == 202, response.text
    body = response.json()
    assert set(body) == {"message", "data"}
    assert set(body["data"]) == {"id", "type", "operationId"}
    assert body["data"]["type"] == "task"
    assert response.headers["nxx-operation-id"] == body["data"]["operationId"]
    fate = await client.decided(body["data"]["operationId"])
    assert fate == {"id": body["data"]["operationId"], "state": "applied", "version": 1}
    assert (await client.get("task", body["data"]["id"]))["title"] == "x"


@contract("writes are accepted, then stored")
async def test_an_update_and_a_delete_are_accepted_and_then_applied(client: NexxusClient) -> None:
    task = await client.create("task", title="x")

    updated = await client.update("task", task["id"], replace(points=1), wait=False)
    assert set(updated) == {"operationId"}
    assert (await client.decided(updated["operationId"]))["version"] == 2
    assert (await client.get("task", task["id"]))["points"] == 1
    deleted = await client.delete("task", task["id"], wait=False)
    assert set(deleted) == {"operationId"}
    assert (await client.decided(deleted["operationId"]))["version"] == 3
    await client.refused(
        "GET", f"/model/task/{task['id']}", status=404, error="ModelNotFoundException"
    )


@contract("every route has an alternative form")
async def test_the_type_may_be_in_the_body_or_in_the_query(client: NexxusClient) -> None:
    prefer = {"Prefer": "wait=20"}
    created = await client.ok(
        "POST", "/model/", {"type": "task", "title": "x"}, status=201, headers=prefer
    )
    task = created["data"]
    path = f"/model/{task['id']}"
    assert (await client.ok("GET", f"{path}?type=task"))["data"] == task

    patch = {"type": "task", "patch": replace(points=2)}
    updated = await client.ok("PUT", path, patch, headers=prefer)
    assert updated["data"]["points"] == 2
    deleted = await client.ok("DELETE", path, {"type": "task"}, headers=prefer)
    assert deleted["data"] == {"id": task["id"], "type": "task", "version": 3}

    other = await client.create("task", title="y")
    await client.ok("DELETE", f"/model/{other['id']}?type=task", headers=prefer)
    assert await client.search("task", filter={"id": other["id"]}) == []


@contract("every route has an alternative form")
async def test_a_missing_type_is_named(client: NexxusClient) -> None:
    await client.refused("POST", "/model/", {"title": "x"}, "type")
    await client.refused("GET", "/model/some-id", None, "type")
    await client.refused("PUT", "/model/some-id", {"patch": replace(title="x")}, "type")
    await client.refused("DELETE", "/model/some-id", None, "type")
    await client.refused("POST", "/model/count", {}, "type")


@contract("an unknown model is not found")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/model/ufo", {"title": "x"}),
        ("POST", "/model/", {"type": "ufo"}),
        ("GET", "/model/ufo/x", None),
        ("PUT", "/model/ufo/x", {"patch": replace(title="x")}),
        ("DELETE", "/model/ufo/x", None),
        ("POST", "/model/ufo/search", {}),
        ("POST", "/model/count", {"type": "ufo"}),
        ("GET", "/model/user/x", None),
        ("POST", "/model/user", {"username": "x"}),
    ],
)
async def test_an_unknown_model_is_not_found(
    client: NexxusClient, method: str, path: str, body: Any
) -> None:
    await client.refused(method, path, body, status=404, error="ModelNotFoundException")


@contract("an unknown object is not found")
async def test_an_unknown_object_is_not_found(client: NexxusClient) -> None:
    await client.refused("GET", "/model/task/nothing", status=404, error="ModelNotFoundException")


# Prefer: wait


@contract("waiting for a write")
async def test_waiting_returns_the_stored_object(client: NexxusClient) -> None:
    created = await client.write("POST", "/model/task", {"title": "x"})
    assert created.status_code == 201
    task = created.json()["data"]
    assert await client.get("task", task["id"]) == task
    path = f"/model/task/{task['id']}"

    updated = await client.write("PUT", path, {"patch": replace(points=1)})
    assert updated.status_code == 200
    assert updated.json()["data"] == await client.get("task", task["id"])

    deleted = await client.write("DELETE", path)
    assert deleted.status_code == 200
    assert deleted.json()["data"] == {"id": task["id"], "type": "task", "version": 3}
    for response in (created, updated, deleted):
        assert set(response.json()) == {"message", "data"}
        operation = response.headers["nxx-operation-id"]
        assert (await client.fate(operation))["state"] == "applied"


@contract("waiting for a write")
async def test_waiting_for_a_rejected_write_returns_its_error(client: NexxusClient) -> None:
    response = await client.write("DELETE", "/model/task/nothing")

    assert_error(response, 404, "ModelNotFoundException")
    fate = await client.fate(response.headers["nxx-operation-id"])
    assert fate["state"] == "rejected"


@contract("waiting for a write")
async def test_waiting_for_a_transient_create_returns_the_object(
    client: NexxusClient,
) -> None:
    response = await client.write("POST", "/model/cursor", {"x": 1})

    assert response.status_code == 201
    cursor = response.json()["data"]
    assert cursor["x"] == 1
    assert "version" not in cursor


# Over the socket


@contract("a whole float is an int")
async def test_a_version_and_a_limit_may_be_written_as_floats(client: NexxusClient) -> None:
    task = await client.create("task", title="x")

    headers = {"Content-Type": "application/json"}
    patch = '{"patch": {"op": "replace", "path": "title", "value": "y"}, "ifVersion": 1.0}'
    await client.ok(
        "PUT", f"/model/task/{task['id']}", content=patch.encode(), headers=headers, status=202
    )
    found = await client.ok(
        "POST", "/model/task/search", content=b'{"limit": 1.0, "offset": 0.0}', headers=headers
    )
    assert len(found["data"]["items"]) == 1
    for limit in ("1.5", "1e300", "true"):
        await client.refused(
            "POST",
            "/model/task/search",
            content=f'{{"limit": {limit}}}'.encode(),
            headers=headers,
        )
