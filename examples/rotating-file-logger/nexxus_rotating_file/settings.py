"""The settings of the logger."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class RotatingFileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[logger]`` for ``adapter = "rotating-file"``."""

    path: Annotated[
        str,
        Meta(description="The file to append to; a relative path is below the data directory."),
    ] = "nexxus.log"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="The lowest level that is written."),
    ] = "info"
    max_size: Annotated[
        int,
        Meta(ge=1, description="Bytes after which a new file is begun."),
    ] = 10_000_000
    keep: Annotated[
        int,
        Meta(ge=0, description="How many full files are kept: <path>.1 is the latest."),
    ] = 5
