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
        (
            {"points": 1},
            {"op": "replace", "path": ["points", "status"], "value": [2, "s"]},
            {"points": 2, "status": "s"},
        ),
        (
            {"location": {"lon": 2}},
            {"op": "replace", "path": "location.place.floor", "value": 3},
            {"location": {"lon": 2, "place": {"floor": 3}}},
        ),
        ({}, {"op": "replace", "path": "dueDate", "value": "1970-01-02"}, {"dueDate": 86_400}),
        (
            {"tags": ["a"]},
            {"op": "append", "path": "tags", "value": ["b", "c"]},
            {"tags": ["a", "b", "c"]},
        ),
        ({}, {"op": "prepend", "path": ["tags"], "value": [["b", "c"]]}, {"tags": ["b", "c"]}),
        ({"status": "ab"}, {"op": "prepend", "path": "status", "value": "c"}, {"status": "cab"}),
        ({"weight": 0.5}, {"op": "incr", "path": "weight", "value": 0.25}, {"weight": 0.75}),
        ({}, {"op": "decr", "path": "points", "value": 2}, {"points": -2}),
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
    unsets = isinstance(patch, dict) and patch["op"] == "remove"
    frame = await client.wait_for("model_created" if unsets else "model_updated")
    assert frame["data"]["model"]["version"] == 2
    await client.converged(view)
    assert view.rereads == 0


@contract("patches")
@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({}, "op"),
        ([], "patch"),
        ({"op": "replace", "path": [], "value": []}, "path"),
        ({"op": "replace", "path": ["points", "status"], "value": [1]}, "value"),
        ({"op": "replace", "path": "location.alt", "value": 1}, "location.alt"),
        ({"op": "replace", "path": "version", "value": 9}, "version"),
        ({"op": "append", "path": "tags", "value": ["a", 1]}, "tags"),
        ({"op": "incr", "path": "points", "value": 1.5}, "points"),
        ({"op": "remove", "path": "title"}, "title"),
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
