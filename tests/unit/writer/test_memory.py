"""The bytes that the writer stores with an object: its last operations."""

from __future__ import annotations

from nexxus.writer.memory import OPERATIONS_REMEMBERED, is_remembered, recall, remember


def after(*operations: str, together: int = 1) -> bytes:
    memory = b""
    for operation in operations:
        memory = remember(memory, operation, {"title": operation}, committed_together=together)
    return memory


def test_an_object_without_operations_remembers_none() -> None:
    assert recall(b"").operations == ()
    assert not is_remembered(b"", "op")


def test_operations_are_remembered_in_their_order() -> None:
    memory = after("one", "two", "three")
    assert recall(memory).operations == ("one", "two", "three")
    assert is_remembered(memory, "one")
    assert not is_remembered(memory, "four")


def test_an_operation_id_within_a_replaced_value_is_not_remembered() -> None:
    memory = remember(b"", "one", {"title": "two"}, committed_together=1)
    assert not is_remembered(memory, "two")


def test_an_operation_id_that_is_part_of_another_is_not_remembered() -> None:
    assert not is_remembered(after("operation-10"), "operation-1")


def test_the_oldest_operations_are_forgotten() -> None:
    names = [f"op{n}" for n in range(OPERATIONS_REMEMBERED + 3)]
    assert recall(after(*names)).operations == tuple(names[3:])


def test_replaced_values_are_kept_for_the_operations_of_one_commit() -> None:
    assert recall(after("one", "two", "three", together=2)).replaced == (
        {"title": "two"},
        {"title": "three"},
    )


def test_the_operation_that_created_the_object_is_remembered() -> None:
    memory = remember(b"", "one", None, committed_together=1)
    assert recall(memory).replaced == (None,)
