"""Routes and frames make the same requests and get the same responses."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from objects_world import DEVICE, NOBODY, ObjectsWorld, ids

from nexxus.cluster.messages import Outcome
from nexxus.domain.frames import WriteEvent
from nexxus.errors import InvalidParameters
from nexxus.interfaces.broker import WRITES
from nexxus.objects.replies import Count, Created, QueuedOperation, Reply, StoredReply
from nexxus.objects.requests import (
    CountRequest,
    DeleteRequest,
    SearchRequest,
    UpdateRequest,
)
from nexxus.objects.writes import Terms

PATCH = {"op": "replace", "path": "title", "value": "two"}


@pytest.fixture
async def world(world: ObjectsWorld) -> ObjectsWorld:
    await world.application()
    await world.connect(DEVICE)
    await world.store({"id": "t", "title": "one"})
    return world


# Writes


async def test_an_accepted_write_is_a_202_that_names_its_operation(world: ObjectsWorld) -> None:
    replies = [
        await world.requests.create(NOBODY, "task", {"id": "new"}),
        await world.requests.update(NOBODY, UpdateRequest(type="task", id="t", patch=PATCH)),
        await world.requests.delete(NOBODY, DeleteRequest(type="task", id="t")),
    ]
    one, two, three = (each.operation_id for each in world.broker.payloads(WRITES))
    assert replies == [
        Reply(202, Created(id="new", type="task", operation_id=one), one),
        Reply(202, QueuedOperation(operation_id=two), two),
        Reply(202, QueuedOperation(operation_id=three), three),
    ]


async def test_a_stored_write_is_a_201_for_a_create_and_otherwise_a_200(
    world: ObjectsWorld,
) -> None:
    stored = {"id": "t", "type": "task", "version": 2}

    async def settle(operation: Any) -> None:
        world.writes.settle(Outcome(operation.operation_id, document=stored))

    world.broker.publishing = settle
    terms = Terms(wait=5)
    replies = [
        await world.requests.create(NOBODY, "task", {"id": "new"}, terms),
        await world.requests.update(NOBODY, UpdateRequest(type="task", id="t", patch=PATCH), terms),
        await world.requests.delete(NOBODY, DeleteRequest(type="task", id="t"), terms),
    ]
    one, two, three = (each.operation_id for each in world.broker.payloads(WRITES))
    assert replies == [
        StoredReply(201, stored, one),
        StoredReply(200, stored, two),
        StoredReply(200, stored, three),
    ]


async def test_a_transient_create_has_no_operation(world: ObjectsWorld) -> None:
    reply = await world.requests.create(NOBODY, "typing", {"id": "k", "text": "…"})
    assert reply == Reply(202, Created(id="k", type="typing"), "")


async def test_a_create_may_name_its_model_in_the_body(world: ObjectsWorld) -> None:
    await world.requests.create(NOBODY, None, {"type": "task", "title": "one"})
    assert [each.key.type for each in world.broker.payloads(WRITES)] == ["task"]
    for body in ({}, {"type": 1}, {"type": None}):
        with pytest.raises(InvalidParameters, match="name of a model"):
            await world.requests.create(NOBODY, None, body)


@pytest.mark.parametrize(
    "request_", [UpdateRequest(patch=PATCH, id="t"), UpdateRequest(patch=PATCH, type="task")]
)
async def test_a_change_must_name_its_object(world: ObjectsWorld, request_: UpdateRequest) -> None:
    with pytest.raises(InvalidParameters, match="is required"):
        await world.requests.update(NOBODY, request_)


# Reads


async def test_a_page_has_a_cursor_while_more_follow(world: ObjectsWorld) -> None:
    await world.store({"id": "u"}, {"id": "v"})
    first = await world.requests.search(NOBODY, "task", SearchRequest(limit=2))
    assert isinstance(first.cursor, str)
    last = await world.requests.search(NOBODY, "task", SearchRequest(limit=2, cursor=first.cursor))
    assert ids(last.items) == ["v"]
    assert last.cursor is UNSET


async def test_objects_are_counted(world: ObjectsWorld) -> None:
    assert await world.requests.count(NOBODY, CountRequest(type="task")) == Count(count=1)


# Frames


@pytest.mark.parametrize(
    ("event", "data", "status", "names"),
    [
        ("create", {"type": "task", "title": "one"}, 202, {"id", "type", "operationId"}),
        ("update", {"type": "task", "id": "t", "patch": PATCH}, 202, {"operationId"}),
        ("delete", {"type": "task", "id": "t", "ifVersion": 1}, 202, {"operationId"}),
    ],
)
async def test_a_frame_is_answered_like_its_route(
    world: ObjectsWorld, event: WriteEvent, data: dict[str, Any], status: int, names: set[str]
) -> None:
    answered, document = await world.requests.write_from_frame(DEVICE, event, data)
    assert answered == status
    assert document.keys() == names


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("update", {"type": "task", "id": "t", "patch": PATCH, "version": 1}),
        ("delete", {"type": "task", "id": "t", "ifVersion": -1}),
        ("create", ["no object"]),
    ],
)
async def test_a_malformed_frame_is_refused(
    world: ObjectsWorld, event: WriteEvent, data: Any
) -> None:
    with pytest.raises(InvalidParameters):
        await world.requests.write_from_frame(DEVICE, event, data)


async def test_a_frames_write_signals_when_its_order_is_fixed(world: ObjectsWorld) -> None:
    calls: list[str] = []
    frames: list[tuple[WriteEvent, dict[str, Any]]] = [
        ("create", {"type": "task"}),
        ("delete", {"type": "task", "id": "t"}),
    ]
    for event, data in frames:
        await world.requests.write_from_frame(
            DEVICE, event, data, lambda name=event: calls.append(name)
        )  # type: ignore[misc]
    assert calls == ["create", "delete"]
