"""The events of frames that a client sends."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

WriteEvent: TypeAlias = Literal["create", "update", "delete"]

WRITE_OPERATIONS: Final[tuple[WriteEvent, ...]] = ("create", "update", "delete")
"""The operations that may be under way together: they are published in order of arrival."""

OPERATIONS: Final = ("subscribe", "unsubscribe", *WRITE_OPERATIONS)
"""The events that carry a ``ref`` and are answered by a ``reply``."""

CLIENT_EVENTS: Final = ("register", "refresh_access_token", "resume", "ping", *OPERATIONS)
"""Everything that a client may send."""
