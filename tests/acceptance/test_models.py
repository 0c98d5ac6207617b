"""Contract §4: objects are written, patched, read, searched and counted."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, assert_error, replace, unique
from documents import open_application, signed_application
from waiting import eventually

contract = partial(pytest.mark.contract, "4. Models")

CONFLICT = "VersionConflictException"


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture(scope="module")
def signed(admin: Admin) -> Any:
    return admin.create(signed_application())


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()


async def count_by_title(client: NexxusClient, title: str) -> int:
    return await client.count("task", filter={"title": title})


# Routes


@contract("writes are taken, then stored")
async def test_a_create_is_taken_and_then_applied(client: NexxusClient) -> None:
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


@contract("writes are taken, then stored")
async def test_an_update_and_a_delete_are_taken_and_then_applied(client: NexxusClient) -> None:
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


@contract("every route has a second form")
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


@contract("every route has a second form")
async def test_a_type_that_is_missing_is_named(client: NexxusClient) -> None:
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
async def test_waiting_answers_with_what_is_stored(client: NexxusClient) -> None:
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
async def test_waiting_for_a_rejected_write_answers_with_its_error(client: NexxusClient) -> None:
    response = await client.write("DELETE", "/model/task/nothing")

    assert_error(response, 404, "ModelNotFoundException")
    fate = await client.fate(response.headers["nxx-operation-id"])
    assert fate["state"] == "rejected"


@contract("waiting for a write")
async def test_waiting_for_a_transient_create_answers_with_the_object(
    client: NexxusClient,
) -> None:
    response = await client.write("POST", "/model/cursor", {"x": 1})

    assert response.status_code == 201
    cursor = response.json()["data"]
    assert cursor["x"] == 1
    assert "version" not in cursor


@contract("waiting for a write")
@pytest.mark.parametrize("prefer", ["wait=abc", "wait=", "respond-async", "wait=-1", "return=x"])
async def test_a_preference_that_is_not_understood_is_ignored(
    client: NexxusClient, prefer: str
) -> None:
    response = await client.send("POST", "/model/task", {"title": "x"}, headers={"Prefer": prefer})

    assert response.status_code in (202, 400), response.text


@contract("waiting for a write")
async def test_whoever_waits_no_time_at_all_does_not_wait(client: NexxusClient) -> None:
    for prefer in ("wait=0", "wait=0.0"):
        headers = {"Prefer": prefer}
        response = await client.send("POST", "/model/task", {"title": "x"}, headers=headers)
        assert response.status_code == 202, response.text


@contract("waiting for a write")
async def test_a_preference_may_be_one_of_several(client: NexxusClient) -> None:
    response = await client.http.post(
        f"{client.endpoint.url}/model/task",
        json={"title": "x"},
        headers=[("nxx-app-id", client.app_id), ("Prefer", "wait=20"), ("Prefer", "return=full")],
    )

    assert response.status_code == 201, response.text


@contract("a whole number is an int however it is written")
async def test_a_version_and_a_limit_may_be_written_with_a_point(client: NexxusClient) -> None:
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


# Fates


@contract("what only the writer can know is the operation's fate")
async def test_an_update_of_what_is_not_stored_is_rejected(client: NexxusClient) -> None:
    for work in (
        client.update("task", unique("none"), replace(points=1), wait=False),
        client.delete("task", unique("none"), wait=False),
    ):
        fate = await client.decided((await work)["operationId"])
        assert set(fate) == {"id", "state", "error"}
        assert fate["state"] == "rejected"
        assert fate["error"]["error"] == "ModelNotFoundException"
        assert fate["error"]["message"]


@contract("what only the writer can know is the operation's fate")
async def test_the_writing_device_is_told_of_a_rejection(client: NexxusClient) -> None:
    await client.connect()

    taken = await client.delete("task", unique("none"), wait=False)

    frame = await client.wait_for("error")
    assert frame["data"]["code"] == "OPERATION_REJECTED"
    assert frame["data"]["operationId"] == taken["operationId"]
    assert frame["data"]["error"]["error"] == "ModelNotFoundException"


@contract("what only the writer can know is the operation's fate")
async def test_an_id_that_is_stored_cannot_be_created_again(client: NexxusClient) -> None:
    task = await client.create("task", id=unique("once"), title="first")

    response = await client.write("POST", "/model/task", {"id": task["id"], "title": "second"})

    assert_error(response, 409, CONFLICT)
    assert await client.get("task", task["id"]) == task


@contract("what only the writer can know is the operation's fate")
async def test_somebody_elses_operation_is_not_found(signed: Any, new_client: Any) -> None:
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
@pytest.mark.parametrize("version", ["1", 1.5, True, -1])
async def test_an_expected_version_that_is_none_is_refused(
    client: NexxusClient, version: Any
) -> None:
    body = {"patch": replace(points=1), "ifVersion": version}
    await client.refused("PUT", "/model/task/x", body, "ifVersion")


@contract("the expected version")
async def test_of_many_writers_that_expect_one_version_one_wins(client: NexxusClient) -> None:
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


@contract("versions go on after a delete")
async def test_an_id_created_again_goes_on_counting(client: NexxusClient) -> None:
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


# Idempotency


@contract("a repeated key is applied once")
async def test_a_retry_with_the_same_key_is_answered_with_the_same_ids(
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
async def test_retries_at_the_same_moment_are_applied_once(client: NexxusClient) -> None:
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


# JsonPatch


@contract("patches")
@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({}, {"op": "replace", "path": "points", "value": 1}, {"points": 1}),
        ({}, {"op": "replace", "path": ["points"], "value": [1]}, {"points": 1}),
        (
            {"points": 1},
            {"op": "replace", "path": ["points", "status"], "value": [2, "s"]},
            {"points": 2, "status": "s"},
        ),
        ({}, {"op": "replace", "path": "tags", "value": ["a", "b"]}, {"tags": ["a", "b"]}),
        ({}, {"op": "replace", "path": ["tags"], "value": [["a"]]}, {"tags": ["a"]}),
        ({}, {"op": "replace", "path": "location.lat", "value": 1}, {"location": {"lat": 1}}),
        (
            {"location": {"lon": 2}},
            {"op": "replace", "path": "location.place.floor", "value": 3},
            {"location": {"lon": 2, "place": {"floor": 3}}},
        ),
        (
            {"location": {"lon": 2}},
            {"op": "replace", "path": "location", "value": {"lat": 1}},
            {"location": {"lat": 1}},
        ),
        ({"dueDate": 5}, {"op": "replace", "path": "dueDate", "value": None}, {"dueDate": None}),
        ({}, {"op": "replace", "path": "dueDate", "value": "1970-01-02"}, {"dueDate": 86_400}),
        ({"tags": ["a"]}, {"op": "append", "path": "tags", "value": "b"}, {"tags": ["a", "b"]}),
        (
            {"tags": ["a"]},
            {"op": "append", "path": "tags", "value": ["b", "c"]},
            {"tags": ["a", "b", "c"]},
        ),
        (
            {"tags": ["a"]},
            {"op": "prepend", "path": "tags", "value": ["b", "c"]},
            {"tags": ["b", "c", "a"]},
        ),
        ({}, {"op": "append", "path": "tags", "value": "b"}, {"tags": ["b"]}),
        ({}, {"op": "prepend", "path": ["tags"], "value": [["b", "c"]]}, {"tags": ["b", "c"]}),
        ({"status": "ab"}, {"op": "append", "path": "status", "value": "c"}, {"status": "abc"}),
        ({"status": "ab"}, {"op": "prepend", "path": "status", "value": "c"}, {"status": "cab"}),
        ({}, {"op": "append", "path": "status", "value": "c"}, {"status": "c"}),
        (
            {"notes": None},
            {"op": "append", "path": "notes", "value": "c"},
            {"notes": "c"},
        ),
        (
            {"steps": [{"text": "a"}]},
            {"op": "append", "path": "steps", "value": {"text": "b", "minutes": 1}},
            {"steps": [{"text": "a"}, {"text": "b", "minutes": 1}]},
        ),
        ({"points": 1}, {"op": "incr", "path": "points", "value": 2}, {"points": 3}),
        ({"points": 1}, {"op": "decr", "path": "points", "value": 2}, {"points": -1}),
        ({}, {"op": "decr", "path": "points", "value": 2}, {"points": -2}),
        ({"weight": 0.5}, {"op": "incr", "path": "weight", "value": 0.25}, {"weight": 0.75}),
        ({"dueDate": 100}, {"op": "incr", "path": "dueDate", "value": 50}, {"dueDate": 150}),
        ({}, {"op": "incr", "path": "location.lat", "value": 1.5}, {"location": {"lat": 1.5}}),
        ({"points": 1}, {"op": "remove", "path": "points"}, {}),
        ({}, {"op": "remove", "path": "points"}, {}),
        ({"points": 1, "status": "s"}, {"op": "remove", "path": ["points", "status"]}, {}),
        ({"location": {"lat": 1}}, {"op": "remove", "path": "location.lat"}, {"location": {}}),
        (
            {"points": 1, "tags": []},
            [
                {"op": "incr", "path": "points", "value": 1},
                {"op": "append", "path": "tags", "value": "x"},
                {"op": "incr", "path": "points", "value": 1},
            ],
            {"points": 3, "tags": ["x"]},
        ),
    ],
)
async def test_a_patch_does_what_it_says_here_and_in_every_copy(
    client: NexxusClient, before: Any, patch: Any, after: Any
) -> None:
    task = await client.create("task", title="x", **before)
    await client.connect()
    view = await client.subscribe("task", id=task["id"])

    updated = await client.update("task", task["id"], patch)

    fields = {k: v for k, v in updated.items() if k in (*before, *after)}
    assert fields == after
    assert updated["version"] == 2
    assert await client.get("task", task["id"]) == updated
    frame = await client.wait_for("model_updated")
    assert frame["data"]["model"]["version"] == 2
    await client.converged(view)
    assert view.rereads == 0


@contract("patches")
@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({}, "op"),
        ([], "patch"),
        ("replace", "patch"),
        ({"op": "add", "path": "points", "value": 1}, "op"),
        ({"op": "replace", "value": 1}, "path"),
        ({"op": "replace", "path": [], "value": []}, "path"),
        ({"op": "replace", "path": "", "value": 1}, "path"),
        ({"op": "replace", "path": 7, "value": 1}, "path"),
        ({"op": "replace", "path": "points"}, "value"),
        ({"op": "replace", "path": ["points", "status"], "value": [1]}, "value"),
        ({"op": "replace", "path": "pionts", "value": 1}, "pionts"),
        ({"op": "replace", "path": "location.alt", "value": 1}, "location.alt"),
        ({"op": "replace", "path": "points.x", "value": 1}, "points.x"),
        ({"op": "replace", "path": "tags.0", "value": "x"}, "tags.0"),
        ({"op": "replace", "path": "points", "value": "1"}, "points"),
        ({"op": "replace", "path": "title", "value": None}, "title"),
        ({"op": "replace", "path": "version", "value": 9}, "version"),
        ({"op": "replace", "path": "userId", "value": "me"}, "userId"),
        ({"op": "replace", "path": "id", "value": "x"}, "id"),
        ({"op": "replace", "path": "points", "value": 1, "extra": 1}, "extra"),
        ({"op": "append", "path": "points", "value": 1}, "points"),
        ({"op": "append", "path": "tags", "value": 1}, "tags"),
        ({"op": "append", "path": "tags", "value": ["a", 1]}, "tags"),
        ({"op": "append", "path": "steps", "value": {"minutes": 1}}, "steps"),
        ({"op": "incr", "path": "status", "value": 1}, "status"),
        ({"op": "incr", "path": "points", "value": 1.5}, "points"),
        ({"op": "incr", "path": "points", "value": "1"}, "points"),
        ({"op": "remove", "path": "title"}, "title"),
        ({"op": "remove", "path": "points", "value": 1}, "value"),
        ([{"op": "incr", "path": "points", "value": 1}, {"op": "nope", "path": "x"}], "op"),
    ],
)
async def test_a_patch_that_does_not_fit_the_schema_is_refused(
    client: NexxusClient, patch: Any, named: str
) -> None:
    await client.refused("PUT", "/model/task/any-id", {"patch": patch}, named)


@contract("patches")
async def test_a_patch_that_leaves_the_range_is_rejected_as_a_whole(client: NexxusClient) -> None:
    task = await client.create("task", title="x", points=2**53, weight=1)
    patches = [
        {"op": "incr", "path": "weight", "value": 1},
        {"op": "incr", "path": "points", "value": 1},
    ]

    response = await client.write("PUT", f"/model/task/{task['id']}", {"patch": patches})

    assert_error(response, 400, "InvalidParametersException", "points")
    assert await client.get("task", task["id"]) == task


@contract("patches")
async def test_an_update_without_a_patch_is_refused(client: NexxusClient) -> None:
    await client.refused("PUT", "/model/task/x", {}, "patch")
    await client.refused("PUT", "/model/task/x", {"points": 1}, "points")


# Over the socket too


@contract("the same writes over the socket")
async def test_a_create_over_the_socket_is_the_same_write(client: NexxusClient) -> None:
    await client.connect()

    reply = await client.socket.request("create", {"type": "task", "title": "x"})

    assert reply["status"] == 202
    assert set(reply["data"]) == {"id", "type", "operationId"}
    await client.decided(reply["data"]["operationId"])
    assert (await client.get("task", reply["data"]["id"]))["title"] == "x"
