"""The replaced values suffice to evaluate any filter on the former object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.application import parse_application
from nexxus.domain.filter_matcher import compile_reader, is_missing
from nexxus.domain.objects import Document
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Delete,
    Deletion,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.domain.patches import PatchOp
from nexxus.interfaces.database import Record
from nexxus.writer.apply import Applied, Repeated, apply_operation
from nexxus.writer.memory import recall
from nexxus.writer.replaced import replaced_values

APPLICATION = parse_application(
    {
        "id": "app",
        "name": "App",
        "schema": {
            "task": {
                "fields": {
                    "points": {"type": "int", "filterable": True},
                    "tags": {"type": "array", "arrayType": "string", "filterable": True},
                    "place": {
                        "type": "object",
                        "properties": {"city": {"type": "string", "filterable": True}},
                    },
                    "note": {"type": "string"},
                }
            }
        },
    }
)
MODEL = APPLICATION.model("task")
PATHS = {path: compile_reader(path) for path in MODEL.filterable}

values = st.one_of(
    st.tuples(st.just("points"), st.integers(0, 2)),
    st.tuples(st.just("tags"), st.lists(st.sampled_from("xy"), max_size=2)),
    st.tuples(
        st.just("place"), st.fixed_dictionaries({}, optional={"city": st.sampled_from("ab")})
    ),
    st.tuples(st.just("note"), st.text(max_size=2)),
)
"""A field and its new value."""


def create(number: int) -> Create:
    identity = {"id": "t", "type": "task", "appId": "app", "userId": "u", "createdAt": number}
    return Create(
        operation_id=f"op{number}", accepted_at=number, data={**identity, "updatedAt": number}
    )


def update(number: int, path: str, value: Any) -> Update:
    metadata = PatchMetadata(app_id="app", id="t", type="task")
    patch = QueuedPatch(op=PatchOp.REPLACE, path=[path], value=[value], metadata=metadata)
    return Update(operation_id=f"op{number}", accepted_at=number, data=[patch])


def delete(number: int) -> Delete:

    deletion = Deletion(id="t", type="task", app_id="app")
    return Delete(operation_id=f"op{number}", accepted_at=number, data=deletion)


def filterable(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    found = {path: read(document) for path, read in PATHS.items()}
    return {path: value for path, value in found.items() if not is_missing(value)}


@given(st.lists(st.one_of(values, st.just(None)), min_size=1, max_size=12), st.integers(1, 12))
def test_a_repeated_event_has_the_object_before_its_operation(
    writes: list[tuple[str, Any] | None], together: int
) -> None:
    """None means a delete, or a create if there is no object."""
    record: Record | None = None
    history: list[tuple[AnyOperation, Document | None]] = []
    for number, write in enumerate([None, *writes], start=1):
        before = None if record is None or record.deleted_at is not None else record.document
        operation: AnyOperation
        if before is None:
            operation = create(number)
        elif write is None:
            operation = delete(number)
        else:
            operation = update(number, *write)
        applied = apply_operation(operation, record, APPLICATION, committed_together=together)
        assert isinstance(applied, Applied)
        record = applied.record
        history.append((operation, before))
    assert record is not None
    for operation, before in history[-together:]:
        again = apply_operation(operation, record, APPLICATION)
        assert isinstance(again, Repeated)
        assert again.event.repeated
        assert filterable(again.event.before) == filterable(before)
        assert again.event.after == (None if record.deleted_at else record.document)


def test_only_the_values_of_the_last_commit_are_kept() -> None:
    applied = apply_operation(create(1), None, APPLICATION)
    for number in range(2, 10):
        assert isinstance(applied, Applied)
        applied = apply_operation(
            update(number, "points", number), applied.record, APPLICATION, committed_together=2
        )
    assert isinstance(applied, Applied)
    assert recall(applied.record.memory).replaced == (
        {"points": 7, "updatedAt": 7},
        {"points": 8, "updatedAt": 8},
    )


@pytest.mark.parametrize(("was", "is_now"), [(1, 1.0), (0, False), ("", None)])
def test_values_that_python_considers_equal_are_distinguished(was: Any, is_now: Any) -> None:

    assert replaced_values({"points": was}, {"points": is_now}, MODEL) == {"points": was}
