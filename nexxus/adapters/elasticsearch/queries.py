"""Compiles filters and orders to Elasticsearch queries that agree exactly with the matcher.

Each condition is about one field of a layout. A field has no value for a missing one, so that
no condition holds for it, and its ``must_not`` does.

Elasticsearch gives up at thirty nested queries. What is deeper than `MAX_DEPTH` is wrapped: a
wrapped query is parsed by itself, and its nesting is counted from one again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from nexxus.adapters.elasticsearch.layouts import (
    Layout,
    Slot,
    field_name,
    indexed,
    slot_of_field,
    slot_of_value,
)
from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or, Scalar
from nexxus.interfaces.database import Query

MAX_DEPTH: Final = 16

Clause: TypeAlias = dict[str, Any]

_FURTHEST: Final = 2**63 - 1
_TOMBSTONE: Final[Clause] = {"exists": {"field": "deletedAt"}}


class _Compiled(NamedTuple):
    clause: Clause
    depth: int = 1


def live_objects(filter: Filter, layout: Layout) -> Clause:
    """The query for the objects that match; tombstones never do."""
    matching = _within_depth(_compile(filter, layout)).clause
    return {"bool": {"filter": [matching], "must_not": [_TOMBSTONE]}}


def order_of(query: Query) -> list[Clause]:
    """The query's order, for ``sort``."""
    return [
        {
            field_name(slot, path): {
                "order": "desc" if descending else "asc",
                "missing": "_last",
            }
        }
        for path, slot, descending in _levels(query)
    ]


def place_of(query: Query) -> list[Any] | None:
    """Where the query continues, for ``search_after``: one value per level of its order."""
    if query.after is None:
        return None
    levels = zip(_levels(query), query.after, strict=True)
    return [_sort_value(value, slot, descending) for (_, slot, descending), value in levels]


def _levels(query: Query) -> Iterable[tuple[str, Slot, bool]]:
    for key in query.sort:
        yield key.path, slot_of_field(query.model.filterable[key.path]), key.descending


def _sort_value(value: Any, slot: Slot, descending: bool) -> Any:
    """What Elasticsearch sorts a document by that has this value; None for a missing one."""
    if value is None or value == []:
        match slot:
            case Slot.KEYWORD:
                return None
            case Slot.NUMBER:
                return "-Infinity" if descending else "Infinity"
            case Slot.BOOLEAN:
                return -_FURTHEST - 1 if descending else _FURTHEST
    return int(value) if slot is Slot.BOOLEAN else indexed(value)


def _compile(filter: Filter, layout: Layout) -> _Compiled:
    match filter:
        case Compare(path, op, value):
            return _Compiled(_comparison(path, op, value))
        case In(path, values):
            return _membership(path, values)
        case Missing(path):
            return _Compiled({"bool": {"must_not": _presence(path, layout)}}, 2)
        case Not(part):
            inner = _within_depth(_compile(part, layout))
            return _Compiled({"bool": {"must_not": [inner.clause]}}, inner.depth + 1)
        case And(parts):
            if not parts:
                return _Compiled({"match_all": {}})
            return _joined("filter", [_compile(part, layout) for part in parts])
        case Or(parts):
            if not parts:
                return _Compiled({"match_none": {}})
            return _joined("should", [_compile(part, layout) for part in parts])


def _comparison(path: str, op: Op, value: Scalar) -> Clause:
    slot = slot_of_value(value)
    assert slot is not None, "a filter's values are scalars"
    name = field_name(slot, path)
    if op is Op.EQ or op is Op.CONTAINS:
        return {"term": {name: {"value": indexed(value)}}}
    return {"range": {name: {op.value: indexed(value)}}}


def _membership(path: str, values: Sequence[Scalar]) -> _Compiled:
    by_slot: dict[Slot, list[Any]] = {}
    for value in values:
        slot = slot_of_value(value)
        assert slot is not None, "a filter's values are scalars"
        by_slot.setdefault(slot, []).append(indexed(value))
    return _joined(
        "should",
        [_Compiled({"terms": {field_name(slot, path): of}}) for slot, of in by_slot.items()],
    )


def _presence(path: str, layout: Layout) -> list[Clause]:
    """The value is there, whatever its type."""
    names = (field_name(slot, path) for slot in Slot)
    return [{"exists": {"field": name}} for name in names if name in layout.fields]


def _joined(occurrence: str, parts: Sequence[_Compiled]) -> _Compiled:
    if len(parts) == 1:
        return parts[0]
    within = [_within_depth(part) for part in parts]
    clause: Clause = {"bool": {occurrence: [part.clause for part in within]}}
    return _Compiled(clause, 1 + max(part.depth for part in within))


def _within_depth(compiled: _Compiled) -> _Compiled:
    """The query, wrapped where it is too deep to stand inside of another."""
    if compiled.depth < MAX_DEPTH:
        return compiled
    wrapped = base64.b64encode(msgspec.json.encode(compiled.clause)).decode()
    return _Compiled({"wrapper": {"query": wrapped}})
