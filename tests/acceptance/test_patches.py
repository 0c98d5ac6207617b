"""Contract §4: JsonPatch, as the server and every copy applies it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import NexxusClient, assert_error

contract = partial(pytest.mark.contract, "4. Models")


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
async def test_a_patch_has_the_same_effect_on_the_server_and_in_every_copy(
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
async def test_a_patch_with_a_result_out_of_range_is_rejected_as_a_whole(
    client: NexxusClient,
) -> None:
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
