"""JsonPatch: validated by the schema, applied to objects and sent to clients.

`parse_patches` turns a client's body into `Patch` values once, at the edge. `apply` applies them to
a stored object and returns the new object, and the patches for clients: applied to a copy of the
old object, they produce exactly the new one, without the schema.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from nexxus.domain.objects import BUILT_IN, Document
from nexxus.domain.schema import NUMERIC, Field, Kind, ModelType
from nexxus.domain.spelling import hint
from nexxus.domain.values import (
    LATEST_DATE,
    MAX_INT,
    coerce,
    coerce_element,
    coerce_primitive,
    undeclared,
)
from nexxus.errors import InvalidParameters

_KEYS: Final = frozenset({"op", "path", "value", "metadata"})


class PatchOp(StrEnum):
    """The operation of a patch."""

    REPLACE = "replace"
    APPEND = "append"
    PREPEND = "prepend"
    INCR = "incr"
    DECR = "decr"
    REMOVE = "remove"


class Patch(msgspec.Struct, frozen=True, omit_defaults=True):
    """One validated patch: one value per path, in stored form; no values for `PatchOp.REMOVE`.

    To append or prepend to an array, the value is the list of elements to add.
    """

    op: PatchOp
    path: list[str]
    value: list[Any] = []


_OPS: Final = ", ".join(PatchOp)
_GROWING: Final = frozenset({PatchOp.APPEND, PatchOp.PREPEND})
_COUNTING: Final = frozenset({PatchOp.INCR, PatchOp.DECR})


def parse_patches(document: Any, model: ModelType) -> list[Patch]:
    """Parse an update's ``patch``: one patch or a list of them.

    Raises `InvalidParameters`, which names the path and the rule.
    """
    documents = document if isinstance(document, list) else [document]
    if not documents:
        raise InvalidParameters("patch: the list is empty", {"field": "patch"})
    if not isinstance(document, list):
        return [_parse_patch(document, model, "patch")]
    return [_parse_patch(entry, model, f"patch[{i}]") for i, entry in enumerate(documents)]


def _parse_patch(document: Any, model: ModelType, where: str) -> Patch:
    if not isinstance(document, dict):
        raise InvalidParameters(f"{where}: expected an object with op, path and value")
    # Older clients send the metadata of the object along.
    for key in document.keys() - _KEYS:
        shown = key[:64]
        raise InvalidParameters(
            f"{where}: unknown key {shown!r}{hint(shown, _KEYS)}", {"field": shown}
        )
    try:
        op = PatchOp(document.get("op", ""))
    except ValueError:
        raise InvalidParameters(
            f"{where}.op: expected one of {_OPS}, got {document.get('op')!r:.60}",
            {"field": f"{where}.op"},
        ) from None
    paths, values = _pair(document, op, where)
    parsed = [
        _parse_value(op, path, value, model) for path, value in zip(paths, values, strict=True)
    ]
    return Patch(op, paths, [] if op is PatchOp.REMOVE else parsed)


def _pair(document: dict[str, Any], op: PatchOp, where: str) -> tuple[list[str], list[Any]]:
    """Return the paths and a value for each; if ``path`` is scalar, the value is taken as it is."""
    path = document.get("path")
    paths: list[Any] = path if isinstance(path, list) else [path]
    if not paths:
        raise InvalidParameters(f"{where}.path: the list is empty", {"field": "path"})
    if not all(isinstance(entry, str) and entry for entry in paths):
        raise InvalidParameters(f"{where}.path: expected dotted paths", {"field": "path"})
    if op is PatchOp.REMOVE:
        if "value" in document:
            raise InvalidParameters(f"{where}.value: remove takes no value", {"field": "value"})
        return paths, [None] * len(paths)
    if "value" not in document:
        raise InvalidParameters(f"{where}.value: is missing", {"field": "value"})
    value = document["value"]
    if not isinstance(path, list):
        return paths, [value]
    if isinstance(value, list) and len(value) == len(paths):
        return paths, value
    if len(paths) == 1 and not isinstance(value, list):
        return paths, [value]
    raise InvalidParameters(
        f"{where}.value: expected a list of {len(paths)}, one value per path", {"field": "value"}
    )


def _parse_value(op: PatchOp, path: str, value: Any, model: ModelType) -> Any:
    field = model.paths.get(path)
    if field is None:
        if path.partition(".")[0] in BUILT_IN:
            raise InvalidParameters(
                f"{path} is set by the server and cannot be patched", {"field": path}
            )
        raise undeclared(path, model.paths)
    if op is PatchOp.REPLACE:
        return coerce(value, field, path)
    if op is PatchOp.REMOVE:
        if field.required:
            raise _misplaced(op, path, "the field is required")
        return None
    if op in _GROWING:
        return _parse_growth(op, path, value, field)
    if field.kind not in NUMERIC:
        raise _misplaced(op, path, "the field is not an int, a float or a date")
    # The operand for a date is a number of seconds, not a date.
    step = Kind.FLOAT if field.kind is Kind.FLOAT else Kind.INT
    return coerce_primitive(value, step, path)


def _parse_growth(op: PatchOp, path: str, value: Any, field: Field) -> Any:
    if field.kind is Kind.STRING:
        return coerce_primitive(value, Kind.STRING, path)
    if field.kind is not Kind.ARRAY:
        raise _misplaced(op, path, "the field is not an array or a string")
    # An array of scalars takes several elements at once; an array of objects takes one object.
    many = isinstance(value, list) and field.element is not Kind.OBJECT
    elements = value if many else [value]
    return [coerce_element(item, field, f"{path}[{i}]") for i, item in enumerate(elements)]


def _misplaced(op: PatchOp, path: str, why: str) -> InvalidParameters:
    return InvalidParameters(f"{path}: cannot {op}; {why}", {"field": path, "rule": str(op)})


def apply(
    patches: Sequence[Patch], document: Document, model: ModelType, *, now: int
) -> tuple[Document, list[dict[str, Any]]]:
    """Return the object's next version, and the patches that lead a client's copy to it.

    `document` itself is not modified. Raises `InvalidParameters` if a patch does not fit the
    stored value; then no patch is applied. The returned patches include ``updatedAt``, which never
    decreases.
    """
    result = dict(document)
    changes: list[dict[str, Any]] = []
    owned: set[str] = set()
    made: set[str] = set()
    for patch in patches:
        values = patch.value or [None] * len(patch.path)
        for path, value in zip(patch.path, values, strict=True):
            changes += _apply_one(result, patch.op, path, value, model, owned, made)
    for path in made:
        _check_made(result, path, model)
    result["updatedAt"] = max(now, document["updatedAt"])
    result["version"] = document["version"] + 1
    changes.append(_change(PatchOp.REPLACE, "updatedAt", result["updatedAt"]))
    return result, changes


def _apply_one(
    document: Document,
    op: PatchOp,
    path: str,
    value: Any,
    model: ModelType,
    owned: set[str],
    made: set[str],
) -> list[dict[str, Any]]:
    """Apply one operation on one path; return what leads a client's copy to the same."""
    field = model.paths.get(path)
    if field is None:  # the schema changed between acceptance and application
        raise undeclared(path, model.paths)
    parts = path.split(".")
    if op is PatchOp.REMOVE:
        parent = _existing_parent(document, parts, owned)
        if parent is None or parts[-1] not in parent:
            return []
        del parent[parts[-1]]
        return [{"op": "remove", "path": [path]}]

    parent, created = _parent_for_writing(document, parts, owned)
    name = parts[-1]
    current = parent.get(name)
    parent[name] = _next_value(op, path, current, value, field)
    if op is PatchOp.REPLACE:
        # The copied branch was replaced; the new value belongs to the patch and must be copied.
        owned -= {known for known in owned if known == path or known.startswith(f"{path}.")}
    if created is not None:
        made.add(created)
        # The parent is missing in the client's copy, so the client gets the whole new branch.
        return [_change(PatchOp.REPLACE, created, _branch(document, created))]
    if op is PatchOp.REPLACE or current is None:
        return [_change(PatchOp.REPLACE, path, parent[name])]
    if field.kind is Kind.ARRAY and op in _GROWING:
        # A client adds one element at a time. The last to be prepended is the first of the array.
        elements = value if op is PatchOp.APPEND else reversed(value)
        return [_change(op, path, element) for element in elements]
    return [_change(op, path, value)]


def can_be_patched(changes: Sequence[dict[str, Any]]) -> bool:
    """Return whether clients can apply the patches that `apply` returned.

    Older clients cannot unset a field: they are sent the whole object instead.
    """
    return all(change["op"] != PatchOp.REMOVE for change in changes)


def _check_made(document: Document, path: str, model: ModelType) -> None:
    """Raise `InvalidParameters` if an object created for a patched field lacks required fields."""
    node: Any = document
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if node is not None:
        coerce(node, model.paths[path], path)


def _next_value(op: PatchOp, path: str, current: Any, value: Any, field: Field) -> Any:
    if op is PatchOp.REPLACE:
        return coerce(value, field, path)
    if op in _GROWING:
        empty: Any = "" if field.kind is Kind.STRING else []
        base = empty if current is None else current
        return base + value if op is PatchOp.APPEND else value + base
    base = 0 if current is None else current
    result = base + value if op is PatchOp.INCR else base - value
    if field.kind is Kind.FLOAT:
        result = float(result)
        in_range = math.isfinite(result)
    else:
        in_range = -MAX_INT <= result <= (LATEST_DATE if field.kind is Kind.DATE else MAX_INT)
    if not in_range:
        raise InvalidParameters(
            f"{path}: the result of {op} would be out of range", {"field": path, "rule": "range"}
        )
    return result


def _existing_parent(
    document: Document, parts: list[str], owned: set[str]
) -> dict[str, Any] | None:
    node: Any = document
    for depth in range(1, len(parts)):
        if not isinstance(node.get(parts[depth - 1]), dict):
            return None
        node = _own(node, parts, depth, owned)
    return node  # type: ignore[no-any-return]


def _parent_for_writing(
    document: Document, parts: list[str], owned: set[str]
) -> tuple[dict[str, Any], str | None]:
    """Return the object that contains the path's last part, and the topmost path created for it.

    Objects that are missing on the way are created; the second value is None if there are none.
    """
    node: Any = document
    created: str | None = None
    for depth in range(1, len(parts)):
        if not isinstance(node.get(parts[depth - 1]), dict):
            node[parts[depth - 1]] = {}
            created = created or ".".join(parts[:depth])
        node = _own(node, parts, depth, owned)
    return node, created


def _own(node: dict[str, Any], parts: list[str], depth: int, owned: set[str]) -> dict[str, Any]:
    """Return the child object at `depth`, copied once so that the stored one is not modified."""
    name, path = parts[depth - 1], ".".join(parts[:depth])
    if path not in owned:
        node[name] = dict(node[name])
        owned.add(path)
    return node[name]  # type: ignore[no-any-return]


def _branch(document: Document, path: str) -> Any:
    node: Any = document
    for part in path.split("."):
        node = node[part]
    return copy.deepcopy(node)


def _change(op: PatchOp, path: str, value: Any) -> dict[str, Any]:
    return {"op": str(op), "path": [path], "value": [value]}
