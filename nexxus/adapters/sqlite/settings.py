"""The settings of the SQLite database."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class SqliteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[database]`` for ``adapter = "sqlite"``."""

    path: Annotated[
        str,
        Meta(description="The file, relative to the data directory; empty: nexxus.sqlite3."),
    ] = ""
    synchronous: Annotated[
        Literal["full", "normal"],
        Meta(
            description="With `full`, a stored write survives a power failure; with "
            "`normal`, only a crash of the process."
        ),
    ] = "full"
    readers: Annotated[int, Meta(ge=1, le=64, description="Queries that run concurrently.")] = 2
    busy_timeout: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long to wait for another program's lock on the file.",
        ),
    ] = 5.0
