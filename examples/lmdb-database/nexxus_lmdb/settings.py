"""The settings of the database."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class LmdbSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[database]`` for ``adapter = "lmdb"``."""

    path: Annotated[
        str,
        Meta(min_length=1, description="The file; a relative path starts at the data directory."),
    ] = "nexxus.lmdb"
    map_size: Annotated[
        int,
        Meta(
            ge=1,
            description="The largest size of the file in MiB. The same for all processes. "
            "It is only reserved address space, so it may exceed the size of the disk.",
        ),
    ] = 16 * 1024
