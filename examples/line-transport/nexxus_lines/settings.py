"""The transport's settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class LineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.lines]``."""

    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: any free one.")
    ] = 8082
