"""The columns that a model needs while its schema changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.errors import ServiceUnavailable
from nexxus.toolkit.sql import Column, Columns, ColumnState, plan_columns

wanted_columns = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["text", "number"]))


def test_a_path_is_ready_only_when_its_column_is() -> None:
    columns = Columns(
        [
            Column(1, "a", "text", ColumnState.READY),
            Column(2, "b", "text", ColumnState.FILLING),
            Column(3, "c", "text", ColumnState.RETIRING),
            Column(4, "d", "text", ColumnState.UNUSED),
        ]
    )
    assert columns.ready("a").name == "c1"
    assert [column.path for column in columns.written] == ["a", "b"]
    for path in "bcde":
        with pytest.raises(ServiceUnavailable, match=f"^{path} cannot be filtered"):
            columns.ready(path)


def test_a_path_that_changes_its_type_gets_another_column() -> None:
    columns = Columns([Column(1, "a", "text", ColumnState.READY)])
    plan = plan_columns(columns, {"a": "number"})
    assert [column.number for column in plan.retired] == [1]
    assert plan.added == {"a": "number"}
    assert not plan.reused


def test_an_unused_column_is_reused_for_a_path_of_its_type() -> None:
    unused = Column(1, "former", "text", ColumnState.UNUSED)
    plan = plan_columns(Columns([unused]), {"n": "number", "a": "text", "b": "text"})
    assert list(plan.reused) == [(unused, "a")]
    assert plan.added == {"n": "number", "b": "text"}


def test_a_column_that_is_still_being_filled_is_kept() -> None:
    columns = Columns([Column(1, "a", "text", ColumnState.FILLING)])
    assert plan_columns(columns, {"a": "text"}) == ([], [], {})


@given(st.lists(wanted_columns, max_size=6))
def test_after_any_schema_every_wanted_path_has_one_column_of_its_type(
    schemas: list[dict[str, str]],
) -> None:
    stored: dict[int, Column] = {}
    for wanted in schemas:
        plan = plan_columns(Columns(list(stored.values())), wanted)
        for column in plan.retired:
            stored[column.number] = Column(
                column.number, column.path, column.type, ColumnState.UNUSED
            )
        for column, path in plan.reused:
            stored[column.number] = Column(column.number, path, column.type, ColumnState.READY)
        for path, kind in plan.added.items():
            number = len(stored) + 1
            stored[number] = Column(number, path, kind, ColumnState.READY)
        written = Columns(list(stored.values())).written
        assert {column.path: column.type for column in written} == wanted
        assert len(written) == len(wanted)
