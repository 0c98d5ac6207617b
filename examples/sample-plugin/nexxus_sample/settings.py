"""The settings of what this plugin offers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AuditLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.audit-log]``."""

    path: Annotated[
        str, Meta(description="The file; a relative one lies in the data directory.")
    ] = "audit.jsonl"
    models: Annotated[
        tuple[str, ...], Meta(description="Only these models; all of them when empty.")
    ] = ()


class FileLoggerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[logger]`` for ``adapter = "file"``."""

    path: Annotated[
        str, Meta(description="The file; a relative one lies in the data directory.")
    ] = "nexxus.log"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="The least level that is written."),
    ] = "info"
