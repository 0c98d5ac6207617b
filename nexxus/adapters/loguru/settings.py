"""The settings of the built-in logger."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class LoguruSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[logger]`` for ``adapter = "loguru"``."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="The lowest level that is written."),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Meta(description="Readable lines, or one JSON object per line."),
    ] = "text"
    colors: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="Colours in text; `auto`: only on a terminal."),
    ] = "auto"
