"""Contract §9: the messages in the queues, for authors of custom workers."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Delete,
    Deletion,
    PatchMetadata,
    QueuedPatch,
    Update,
)

contract = partial(pytest.mark.contract, "9. Queues")


def payload(operation: AnyOperation) -> Any:
    encoded = msgspec.json.encode(operation)
    assert msgspec.json.decode(encoded, type=AnyOperation) == operation
    return msgspec.json.decode(encoded)


@contract("the writer's queue")
def test_a_create_is_queued_with_the_whole_object() -> None:
    data = {"id": "t1", "type": "task", "appId": "a", "title": "x"}

    queued = payload(Create(operation_id="op", accepted_at=1, data=data))

    assert queued["event"] == "model_created"
    assert queued["data"] == data
    assert queued["operationId"] == "op"


@contract("the writer's queue")
def test_an_update_is_queued_as_patches_with_metadata() -> None:
    metadata = PatchMetadata(app_id="a", id="t1", type="task", user_id="u1")
    patch = QueuedPatch(op="replace", path=["title"], value=["y"], metadata=metadata)

    queued = payload(Update(operation_id="op", accepted_at=1, data=[patch]))

    assert queued["event"] == "model_updated"
    assert queued["data"] == [
        {
            "op": "replace",
            "path": ["title"],
            "value": ["y"],
            "metadata": {"appId": "a", "id": "t1", "type": "task", "userId": "u1"},
        }
    ]
    assert queued["operationId"] == "op"


@contract("the writer's queue")
def test_a_delete_is_queued_with_the_identity() -> None:
    deletion = Deletion(id="t1", type="task", app_id="a")

    queued = payload(Delete(operation_id="op", accepted_at=1, data=deletion))

    assert queued["event"] == "model_deleted"
    assert queued["data"] == {"id": "t1", "type": "task", "appId": "a"}
    assert queued["operationId"] == "op"
