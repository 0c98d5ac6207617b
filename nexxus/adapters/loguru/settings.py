"""The settings of the built-in logger."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class LoguruSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[logger]`` for ``adapter = "loguru"``."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="The least level that is written."),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Meta(description="Lines for people, or one JSON object a line."),
    ] = "text"
    colors: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="Colours in text; `auto`: when it goes to a terminal."),
    ] = "auto"
