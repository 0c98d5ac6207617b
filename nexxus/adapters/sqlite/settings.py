"""The settings of the SQLite database."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class SqliteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[database]`` for ``adapter = "sqlite"``."""

    path: Annotated[
        str,
        Meta(
            description="The file; a relative one lies in the data directory, and empty means "
            "nexxus.sqlite3 there."
        ),
    ] = ""
    synchronous: Annotated[
        Literal["full", "normal"],
        Meta(
            description="With `full` a stored write survives a loss of power, with `normal` only "
            "the death of the process."
        ),
    ] = "full"
    readers: Annotated[int, Meta(ge=1, le=64, description="Queries that run at a time.")] = 2
    busy_timeout: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long a foreign program may keep the file locked.",
        ),
    ] = 5.0
