"""An operation redelivered after a crash changes nothing and repeats its event."""

from __future__ import annotations

import pytest

from nexxus.domain.application import parse_application
from nexxus.domain.operations import Create, PatchMetadata, QueuedPatch, Update
from nexxus.domain.patches import PatchOp
from nexxus.interfaces.database import Record
from nexxus.writer.apply import Applied, Repeated, apply_operation

APPLICATION = parse_application(
    {"id": "app", "name": "App", "schema": {"task": {"fields": {"points": {"type": "int"}}}}}
)


def increment(number: int) -> Update:
    metadata = PatchMetadata(app_id="app", id="t", type="task")
    patch = QueuedPatch(op=PatchOp.INCR, path=["points"], value=[1], metadata=metadata)
    return Update(operation_id=f"op{number}", accepted_at=number, data=[patch])


def after(count: int) -> Record:
    """The record of a task that was created and incremented a number of times."""
    identity = {"id": "t", "type": "task", "appId": "app", "createdAt": 1, "updatedAt": 1}
    create = Create(operation_id="op1", accepted_at=1, data=identity)
    applied = apply_operation(create, None, APPLICATION)
    for number in range(2, count + 2):
        assert isinstance(applied, Applied)
        applied = apply_operation(increment(number), applied.record, APPLICATION)
    assert isinstance(applied, Applied)
    return applied.record


@pytest.mark.parametrize("history", [5, 100])
@pytest.mark.parametrize("ago", [0, 1, 4])
def test_a_repeated_operation_has_the_version_that_it_made(history: int, ago: int) -> None:
    record = after(history)
    version = record.version - ago

    again = apply_operation(increment(version), record, APPLICATION)

    assert isinstance(again, Repeated)
    assert again.version == version
    assert again.event.version == record.version
