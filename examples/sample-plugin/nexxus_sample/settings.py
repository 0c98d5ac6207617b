"""The plugin's settings."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AuditLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.audit-log]``."""

    path: Annotated[
        str, Meta(description="The file; a relative path is below the data directory.")
    ] = "audit.jsonl"
    models: Annotated[
        tuple[str, ...], Meta(description="Only these models; empty: all models.")
    ] = ()


class FileLoggerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[logger]`` for ``adapter = "file"``."""

    path: Annotated[
        str, Meta(description="The file; a relative path is below the data directory.")
    ] = "nexxus.log"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="The lowest level that is written."),
    ] = "info"
