"""Layouts: the fields that an index has for each object.

A stored document has two parts. What comes back is in ``document``, the object's JSON as one
string that is neither indexed nor looked into, and in ``memory``, ``version`` and ``deletedAt``.
What is searched are the fields of the layout, computed from the object: each filterable path has
one in ``keyword``, ``number`` or ``boolean``, according to its kind. (A path is written with ``/``
there, so that ``place`` and ``place.city`` can both be fields, at any time.)

Every number is a ``double``, which holds each int within ±2^53: an int that becomes a float
changes nothing, and no date is outside of a calendar. So a field is never changed, only added, and
the number of fields of an index only grows. A value is indexed in the field of its own type; if
there is no such field, the value is stored but cannot be found.

A new field is *filling* until every document has it, then *ready*: its name is then in the
mapping below ``ready``, where names are only ever added, so that nodes which prepare at once
cannot undo each other's work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple

from nexxus.adapters.elasticsearch import names
from nexxus.domain.filter_matcher import Reader, compile_reader
from nexxus.domain.objects import Document
from nexxus.domain.schema import NUMERIC, Field, Kind, ModelType

MAX_FIELDS: Final = 20_000
"""What a mapping may hold; each field stands in it twice, see above."""

LONGEST_TERM: Final = 32_000
"""UTF-8 bytes of a string that are indexed as they are; Lucene's terms end at 32,766."""

_UNSEARCHED: Final = {"type": "keyword", "index": False, "doc_values": False}
_READY: Final = {"type": "object", "enabled": False}


class Slot(StrEnum):
    """Where a field's values are indexed."""

    KEYWORD = "keyword"
    NUMBER = "number"
    BOOLEAN = "boolean"


_MAPPINGS: Final = {
    Slot.KEYWORD: {"type": "keyword"},
    Slot.NUMBER: {"type": "double"},
    Slot.BOOLEAN: {"type": "boolean"},
}


def field_name(slot: Slot, path: str) -> str:
    """The field of a path's values of one type."""
    return f"{slot}.{path.replace('.', '/')}"


def slot_of_field(field: Field) -> Slot:
    """Where the values of a declared field are indexed."""
    kind = field.element or field.kind
    if kind in NUMERIC:
        return Slot.NUMBER
    return Slot.BOOLEAN if kind is Kind.BOOLEAN else Slot.KEYWORD


def slot_of_value(value: Any) -> Slot | None:
    """Where a value is indexed, None for what is no scalar."""
    return _SLOTS.get(value.__class__)


_SLOTS: Final = {
    str: Slot.KEYWORD,
    int: Slot.NUMBER,
    float: Slot.NUMBER,
    bool: Slot.BOOLEAN,
}


def indexed(value: Any) -> Any:
    """What stands in the index for a scalar.

    A long string is cut and its digest put behind: it is still equal to itself alone, and
    in order with all strings but those with which it shares its first 32,000 bytes.
    """
    kind = value.__class__
    if kind is float or kind is int:
        return float(value) + 0.0  # makes -0.0 and 0.0 one
    if kind is str and len(value) > LONGEST_TERM // 4:
        encoded = value.encode()
        if len(encoded) > LONGEST_TERM:
            digest = hashlib.sha256(encoded).hexdigest()
            return f"{encoded[:LONGEST_TERM].decode(errors='ignore')}\U0010ffff{digest}"
    return value


def fields_of(model: ModelType) -> frozenset[str]:
    """The fields that a model's filters and orders need."""
    return frozenset(
        field_name(slot_of_field(field), path) for path, field in model.filterable.items()
    )


def mapping_of(fields: Iterable[str]) -> dict[str, Any]:
    """The properties that add these fields to a mapping."""
    properties: dict[str, Any] = {}
    for name in fields:
        slot, _, path = name.partition(".")
        there = properties.setdefault(slot, {"properties": {}})
        there["properties"][path] = _MAPPINGS[Slot(slot)]
    return properties


def readiness_of(fields: Iterable[str]) -> dict[str, Any]:
    """The properties that declare these fields ready."""
    return {"ready": {"properties": {name.replace(".", ":"): _READY for name in fields}}}


def new_mapping(fields: Iterable[str]) -> dict[str, Any]:
    """The mapping of an index that holds nothing yet, so that all of it is ready."""
    fields = list(fields)
    return {
        "dynamic": "strict",
        "properties": {
            "document": _UNSEARCHED,
            "memory": {"type": "binary"},
            "version": {"type": "long", "index": False, "doc_values": False},
            "deletedAt": {"type": "long"},
            "layout": {"type": "keyword"},
            **mapping_of(fields),
            **readiness_of(fields),
        },
    }


class _Column(NamedTuple):
    """One path: how to read it, its name in a slot, and the slots that it has."""

    read: Reader
    name: str
    slots: frozenset[Slot]


class Layout:
    """The layout of an index at one time; immutable, and replaced by a later one.

    `write_alias` is the alias for writing, None if it was removed.
    """

    def __init__(
        self, index: str, fields: frozenset[str], ready: frozenset[str], write_alias: str | None
    ) -> None:
        self.index = index
        self.fields = fields
        self.ready = ready
        self.write_alias = write_alias

    @cached_property
    def digest(self) -> str:
        """Names the fields. Every stored document has that of the layout it was written in."""
        return hashlib.sha256("\n".join(sorted(self.fields)).encode()).hexdigest()[:16]

    def values_of(self, document: Document) -> dict[str, dict[str, Any]]:
        """The indexed values of an object, by slot and name."""
        slots: dict[str, dict[str, Any]] = {}
        for column in self._columns:
            found = column.read(document)
            items = found if found.__class__ is list else (found,)
            for item in items:
                slot = slot_of_value(item)
                if slot is not None and slot in column.slots:
                    values = slots.setdefault(slot, {}).setdefault(column.name, [])
                    values.append(indexed(item))
        return slots

    @cached_property
    def _columns(self) -> list[_Column]:
        slots: dict[str, set[Slot]] = {}
        for field in self.fields:
            slot, _, name = field.partition(".")
            slots.setdefault(name, set()).add(Slot(slot))
        return [
            _Column(compile_reader(name.replace("/", ".")), name, frozenset(there))
            for name, there in slots.items()
        ]


def read_layout(index: str, description: Mapping[str, Any]) -> Layout:
    """The layout that Elasticsearch's description of an index tells of."""
    properties = description["mappings"].get("properties", {})
    fields = frozenset(
        f"{slot}.{name}" for slot in Slot for name in properties.get(slot, {}).get("properties", {})
    )
    ready = properties.get("ready", {}).get("properties", {})
    aliases = [alias for alias in description["aliases"] if names.is_write_alias(index, alias)]
    return Layout(
        index,
        fields,
        frozenset(name.replace(":", ".") for name in ready) & fields,
        aliases[0] if aliases else None,
    )
