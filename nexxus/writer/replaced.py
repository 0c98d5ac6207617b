"""The filterable values that a write replaced, so that its event can be published again.

A writer may die between storing a write and publishing its event. The writer that gets the
operation next has only the current object, but must still notify the channels that the object has
left. So a record keeps, for each operation of its last commit, the filterable values that it
changed. They are a few bytes, and enough to evaluate any filter on the earlier object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from nexxus.domain.filter_matcher import Reader, compile_reader
from nexxus.domain.objects import Document
from nexxus.domain.schema import ModelType

Replaced: TypeAlias = dict[str, Any]
"""Filterable values by dotted path, as they were before a write; None for a missing one."""


def replaced_values(before: Document | None, after: Document, model: ModelType) -> Replaced | None:
    """Return, by path, the filterable values of `before` that differ in `after`; None if missing.

    Returns None if the write created the object. After a delete `after` is empty.
    """
    if before is None:
        return None
    values = {}
    for path, read in _readers(tuple(model.filterable)):
        was, is_now = read(before), read(after)
        # By class, too: 1, 1.0 and True are equal for Python, not for every filter.
        if was is not is_now and (was != is_now or was.__class__ is not is_now.__class__):
            values[path] = was
    return values


def put_back(document: Document, replaced: Sequence[Replaced | None]) -> Document | None:
    """Return the filterable values of the object before its last writes.

    `document` is the current object, or the identity of a deleted one. The last writes replaced
    `replaced`, oldest first. Returns None if there was no object before.
    """
    identity = {name: document[name] for name in ("id", "type", "appId")}
    before: Document | None = document
    for values in reversed(replaced):
        if values is None:
            before = None
        else:
            before = _overlaid(identity if before is None else before, values)
    return before


def _overlaid(document: Document, values: Replaced) -> Document:
    changed = dict(document)
    for path, value in values.items():
        *way, last = path.split(".")
        node = changed
        for part in way:
            inner = node.get(part)
            node[part] = dict(inner) if isinstance(inner, dict) else {}
            node = node[part]
        node[last] = value
    return changed


@lru_cache(maxsize=1024)
def _readers(paths: tuple[str, ...]) -> list[tuple[str, Reader]]:
    return [(path, compile_reader(path)) for path in paths]
