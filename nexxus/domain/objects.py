"""Objects: the instances of models, as they are stored and delivered."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from uuid_utils import uuid7

from nexxus.domain.schema import ModelType
from nexxus.domain.values import coerce_fields
from nexxus.errors import AccessDenied, InvalidParameters, PayloadTooLarge

Document: TypeAlias = dict[str, Any]
"""An object as on the wire: ``id type appId userId? createdAt updatedAt version`` and fields."""

OBJECT_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
LARGEST_OBJECT: Final = 1 << 20
"""The default of ``limits.object``, in bytes."""

BUILT_IN: Final = ("id", "type", "appId", "userId", "createdAt", "updatedAt", "version")


class ObjectKey(NamedTuple):
    """Identifies one object among those of all applications; writes are ordered per key."""

    app_id: str
    type: str
    id: str

    @property
    def partition(self) -> str:
        """The key by which messages about the object are partitioned and ordered."""
        return "\0".join(self)


def new_id() -> str:
    """Return a new UUIDv7. Ids sort by their creation time."""
    return str(uuid7())


def time_of(id: str) -> int:
    """Return the UNIX milliseconds at which `new_id` made an id; 0 for an id of another kind."""
    if len(id) != 36 or id[14] != "7":
        return 0
    try:
        return int(id[:8] + id[9:13], 16)
    except ValueError:
        return 0


def check_id(value: Any, where: str = "id") -> str:
    """Return `value` if it is a valid object id. Raises `InvalidParameters`."""
    if isinstance(value, str) and OBJECT_ID.fullmatch(value) and value not in (".", ".."):
        return value
    raise InvalidParameters(
        f"{where}: expected 1 to 128 characters of A-Z a-z 0-9 . _ ~ -, not '.' or '..'",
        {"field": where, "rule": "id"},
    )


def build_object(
    model: ModelType, body: dict[str, Any], *, app_id: str, user_id: str | None, now: int
) -> Document:
    """Build the object that a create's `body` describes; it has no version yet.

    `body` may give `id`, and may repeat `type`, `appId` and `userId`. Raises `InvalidParameters`,
    which names the field, or `AccessDenied` for another user's `userId`.
    """
    fields = dict(body)
    given_id = fields.pop("id", None)
    object_id = new_id() if given_id is None else check_id(given_id)
    for name, own in (("type", model.name), ("appId", app_id)):
        if fields.pop(name, own) != own:
            raise InvalidParameters(f"{name}: expected {own!r}, or omit it", {"field": name})
    owner = fields.pop("userId", user_id)
    if owner != user_id:
        raise AccessDenied("userId: an object belongs to the user who creates it; omit userId")
    for name in ("createdAt", "updatedAt", "version"):
        if name in fields:
            raise InvalidParameters(f"{name} is set by the server; omit it", {"field": name})
    document: Document = {"id": object_id, "type": model.name, "appId": app_id}
    if user_id is not None:
        document["userId"] = user_id
    document["createdAt"] = document["updatedAt"] = now
    document.update(coerce_fields(fields, model.fields, ""))
    return document


def check_size(document: Document, largest: int) -> None:
    """Raise `PayloadTooLarge` if the JSON of an object has more than `largest` bytes."""
    size = len(msgspec.json.encode(document))
    if size > largest:
        raise PayloadTooLarge(
            f"{document['type']} {document['id']!r} would have {size} bytes; "
            f"an object has at most {largest} (limits.object)"
        )


def check_object(model: ModelType, document: Document) -> None:
    """Raise `InvalidParameters` unless the stored `document` is valid under `model`.

    Values are not converted: a string that could be parsed as a date is not a stored date. An int
    is valid in a float field.
    """
    fields = {name: value for name, value in document.items() if name not in BUILT_IN}
    coerced = coerce_fields(fields, model.fields, "")
    for name, value in fields.items():
        if not _is_same(value, coerced[name]):
            raise InvalidParameters(f"{name}: the stored value is of another type", {"field": name})


def _is_same(stored: Any, coerced: Any) -> bool:
    if isinstance(stored, dict):
        return all(_is_same(value, coerced[name]) for name, value in stored.items())
    if isinstance(stored, list):
        return all(_is_same(*pair) for pair in zip(stored, coerced, strict=True))
    return type(stored) is type(coerced) or (type(stored), type(coerced)) == (int, float)


def value_at(document: Document, path: str) -> Any:
    """Return the value at a dotted path, or None if any part of the path is absent."""
    if "." not in path:
        return document.get(path)
    node: Any = document
    for part in path.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(part)
    return node
