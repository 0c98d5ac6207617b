"""The settings of the worker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class AuditLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.audit-log]``."""

    path: Annotated[
        str,
        Meta(description="The file to append to; a relative path is below the data directory."),
    ] = "audit.jsonl"
    models: Annotated[
        tuple[str, ...],
        Meta(description="The models whose changes are appended; empty: all models."),
    ] = ()
