"""Schemas: the structure of a model's objects.

A schema document is compiled once into `ModelType` trees. Values, patches and filters are validated
against those trees. Paths are dotted (``location.lat``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from nexxus.domain.misfits import check_keys, misfit

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_DANGEROUS_NAMES: Final = frozenset({"constructor", "prototype"})
"""Names that mean something to JavaScript on every object; NAME excludes `__proto__`."""
RESERVED_MODELS: Final = frozenset({"count", "user", "application", "device", "setting", "acl"})
RESERVED_FIELDS: Final = frozenset(
    {"id", "type", "appId", "userId", "createdAt", "updatedAt", "version"}
)
MAX_DEPTH: Final = 16
"""The largest number of levels of nested objects in a schema."""


class Kind(StrEnum):
    """The type of a field's value."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    ARRAY = "array"
    OBJECT = "object"


PRIMITIVES: Final = frozenset({Kind.STRING, Kind.INT, Kind.FLOAT, Kind.BOOLEAN, Kind.DATE})
NUMERIC: Final = frozenset({Kind.INT, Kind.FLOAT, Kind.DATE})
_KINDS: Final[dict[str, Kind]] = {**{kind.value: kind for kind in Kind}, "number": Kind.FLOAT}


class Field(msgspec.Struct, frozen=True):
    """One declared field.

    `element` is the kind of an array's elements. `properties` are the fields of an object, or of
    the objects in an array. `acl` allows access conditions to use the field.
    """

    kind: Kind
    required: bool = False
    nullable: bool = False
    filterable: bool = False
    acl: bool = False
    element: Kind | None = None
    properties: Mapping[str, Field] | None = None


BUILT_IN_FIELDS: Final[Mapping[str, Field]] = {
    "id": Field(Kind.STRING, required=True, filterable=True, acl=True),
    "userId": Field(Kind.STRING, filterable=True, acl=True),
    "createdAt": Field(Kind.DATE, required=True, filterable=True, acl=True),
    "updatedAt": Field(Kind.DATE, required=True, filterable=True),
}
"""The fields of every object that a filter may use without a declaration."""


class ModelType(msgspec.Struct, frozen=True):
    """One compiled model type.

    `fields` is the declared tree. `paths` has all declared fields by dotted path, except those
    inside arrays of objects. `filterable` has the fields that filters and sorts may use, including
    the built-in ones; `acl` has the paths that access conditions may use.
    """

    name: str
    fields: Mapping[str, Field]
    paths: Mapping[str, Field]
    filterable: Mapping[str, Field]
    acl: frozenset[str]
    subscribable: bool = True
    transient: bool = False


def compile_model(name: str, document: Any) -> ModelType:
    """Compile one model of a schema document, in long or short form.

    Raises `InvalidParameters`, which names the model, the field and the rule.
    """
    where = f"schema.{name}"
    check_name(name, where)
    if name in RESERVED_MODELS:
        raise misfit(where, "the name is reserved; choose another")
    if not isinstance(document, dict):
        raise misfit(where, "expected an object that describes the model")
    if not is_long_form(document):
        return build_model(name, _compile_fields(document, where, 0, filterable=False))
    check_keys(document, {"fields", "subscribable", "transient", "description"}, where)
    subscribable = _flag(document, "subscribable", True, where)
    transient = _flag(document, "transient", False, where)
    if transient and not subscribable:
        raise misfit(
            where, "a transient model exists only to be pushed, so it must be subscribable"
        )
    fields = _compile_fields(document["fields"], f"{where}.fields", 0, filterable=not subscribable)
    return build_model(name, fields, subscribable=subscribable, transient=transient)


def is_long_form(document: Mapping[str, Any]) -> bool:
    """Return whether a model's document has its fields under ``fields``.

    In the short form, ``fields`` may be the name of a field; then it has a ``type``.
    """
    fields = document.get("fields")
    return isinstance(fields, dict) and not isinstance(fields.get("type"), str)


def build_model(
    name: str,
    fields: Mapping[str, Field],
    *,
    subscribable: bool = True,
    transient: bool = False,
) -> ModelType:
    """Build a `ModelType` from compiled fields."""
    paths = dict(_walk(fields, ""))
    filterable = {path: field for path, field in paths.items() if field.filterable}
    return ModelType(
        name=name,
        fields=fields,
        paths=paths,
        filterable={**BUILT_IN_FIELDS, **filterable},
        acl=frozenset(["id", "userId", "createdAt", *(p for p, f in filterable.items() if f.acl)]),
        subscribable=subscribable,
        transient=transient,
    )


def compile_fields(document: Any, where: str) -> Mapping[str, Field]:
    """Compile a map of fields outside a model, such as a user type's details."""
    return _compile_fields(document, where, 0, filterable=False, reserved=frozenset())


def check_name(name: str, where: str) -> None:
    """Raise `InvalidParameters` unless `name` is a valid name of a model or a field."""
    if not NAME.fullmatch(name):
        raise misfit(
            where,
            f"{name!r} is not a valid name; use a letter, then at most 63 letters, digits or _",
        )
    if name in _DANGEROUS_NAMES:
        raise misfit(where, f"{name!r} is not a valid name: JavaScript clients could not hold it")


def _walk(fields: Mapping[str, Field], prefix: str) -> Iterator[tuple[str, Field]]:
    for name, field in fields.items():
        path = f"{prefix}{name}"
        yield path, field
        if field.kind is Kind.OBJECT and field.properties is not None:
            yield from _walk(field.properties, f"{path}.")


def _compile_fields(
    document: Any,
    where: str,
    depth: int,
    *,
    filterable: bool,
    within_array: bool = False,
    reserved: frozenset[str] = RESERVED_FIELDS,
) -> Mapping[str, Field]:
    if not isinstance(document, dict):
        raise misfit(where, "expected an object of fields")
    if depth > MAX_DEPTH:
        raise misfit(where, f"objects are nested more than {MAX_DEPTH} levels deep")
    fields = {}
    for name, entry in document.items():
        here = f"{where}.{name}"
        check_name(name, here)
        if depth == 0 and name in reserved:
            raise misfit(here, "the name is reserved; choose another")
        fields[name] = _compile_field(
            entry, here, depth, filterable=filterable, within_array=within_array
        )
    return fields


_FIELD_KEYS: Final = frozenset(
    {"type", "required", "nullable", "filterable", "acl", "arrayType", "properties", "description"}
)


def _compile_field(
    document: Any, where: str, depth: int, *, filterable: bool, within_array: bool
) -> Field:
    if not isinstance(document, dict):
        raise misfit(where, "expected an object with a 'type'")
    check_keys(document, _FIELD_KEYS, where)
    kind = _kind(document.get("type"), f"{where}.type")
    element = None
    holds_objects = kind is Kind.OBJECT
    if kind is Kind.ARRAY:
        element = _kind(document.get("arrayType"), f"{where}.arrayType")
        if element is Kind.ARRAY:
            raise misfit(f"{where}.arrayType", "arrays of arrays are not supported")
        holds_objects = element is Kind.OBJECT
    elif "arrayType" in document:
        raise misfit(f"{where}.arrayType", "only a field of type array has an arrayType")

    properties = None
    if holds_objects:
        if "properties" not in document:
            raise misfit(where, "an object needs 'properties'")
        properties = _compile_fields(
            document["properties"],
            f"{where}.properties",
            depth + 1,
            filterable=filterable and kind is Kind.OBJECT,
            within_array=within_array or kind is Kind.ARRAY,
        )
    elif "properties" in document:
        raise misfit(f"{where}.properties", "only objects and arrays of objects have properties")

    is_filterable = _flag(document, "filterable", False, where)
    if is_filterable and holds_objects:
        raise misfit(
            f"{where}.filterable",
            "only primitives and arrays of primitives can be filtered; mark the properties instead",
        )
    if is_filterable and within_array:
        raise misfit(f"{where}.filterable", "a field inside an array of objects is not filterable")
    return Field(
        kind=kind,
        required=_flag(document, "required", False, where),
        nullable=_flag(document, "nullable", False, where),
        filterable=is_filterable or (filterable and kind in PRIMITIVES),
        acl=_flag(document, "acl", False, where),
        element=element,
        properties=properties,
    )


def _kind(value: Any, where: str) -> Kind:
    kind = _KINDS.get(value) if isinstance(value, str) else None
    if kind is None:
        raise misfit(where, f"expected one of {', '.join(sorted(_KINDS))}")
    return kind


def _flag(document: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise misfit(f"{where}.{key}", "expected true or false")
    return value


def retyped_paths(former: Mapping[str, Field], present: Mapping[str, Field]) -> list[str]:
    """Return the dotted paths of fields whose type has changed, except from int to float.

    Stored values may look valid under the new type (a date is a number, too) but mean something
    else. For a change inside an array of objects, the path is the array's.
    """
    retyped = []
    for name in former.keys() & present.keys():
        was, is_now = former[name], present[name]
        inner = retyped_paths(was.properties or {}, is_now.properties or {})
        if not (_may_become(was.kind, is_now.kind) and _may_become(was.element, is_now.element)):
            retyped.append(name)
        elif was.kind is Kind.OBJECT:
            retyped += [f"{name}.{path}" for path in inner]
        elif inner:
            retyped.append(name)
    return sorted(retyped)


def _may_become(former: Kind | None, present: Kind | None) -> bool:
    return former is present or (former is Kind.INT and present is Kind.FLOAT)
