"""Events: changes of objects."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from nexxus.domain.objects import Document, ObjectKey

EventName: TypeAlias = Literal["model_created", "model_updated", "model_deleted"]


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One applied write, as the writer publishes it.

    `before` and `after` are whole objects, None if there was or is none. `patches` turn a copy of
    `before` into exactly `after`, without the schema. `version` is the version that the write made;
    None for a transient create, which has no version and is identified by its `operation_id`.

    When a writer receives an operation a second time, it publishes the event again, because the
    first event may have been lost. Then `repeated` is true, `version` and `after` are the object's
    current ones, `before` has only filterable values, and `patches` is empty.
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
        """The object that changed."""
        return ObjectKey(self.app_id, self.type, self.id)
