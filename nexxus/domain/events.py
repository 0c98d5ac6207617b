"""Events: what happened to an object."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from nexxus.domain.objects import Document, ObjectKey

EventName: TypeAlias = Literal["model_created", "model_updated", "model_deleted"]


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One applied write, as the writer announces it.

    `before` and `after` are whole objects, None where there was or is none. `patches` bring a
    copy of `before` to exactly `after` without the schema. `version` is that of the write;
    None for a transient create, which has no versions: it is known by its `operation_id`.

    A write that may have been told of before is told of again when a writer comes to its
    operation a second time. Then `repeated` is true, `version` and `after` are the object's present
    ones, `before` holds filterable values only, and there are no `patches`.
    """

    event: EventName
    app_id: str
    type: str
    id: str
    version: int | None
    before: Document | None
    after: Document | None
    patches: list[dict[str, Any]] = []
    user_id: str | None = None
    operation_id: str = ""
    repeated: bool = False

    @property
    def key(self) -> ObjectKey:
        """The object it happened to."""
        return ObjectKey(self.app_id, self.type, self.id)
