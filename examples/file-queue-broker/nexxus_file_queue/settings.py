"""The settings of the broker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class FileQueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[broker]`` for ``adapter = "file-queue"``."""

    path: Annotated[
        str,
        Meta(min_length=1, description="The file; a relative path starts at the data directory."),
    ] = "queues.sqlite3"
    queue_limit: Annotated[
        int,
        Meta(ge=1, description="Messages that may wait for a group before it is full."),
    ] = 100_000
