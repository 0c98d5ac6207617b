"""The settings of the transport."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PollingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.polling]``. Times are in seconds."""

    path: Annotated[
        str,
        Meta(pattern=r"^(/[a-z0-9-]+)+$", description="Where the transport is on the HTTP ports."),
    ] = "/polling"
    wait: Annotated[
        float,
        Meta(gt=0, description="How long a request for events waits for one."),
    ] = 25.0
    patience: Annotated[
        float,
        Meta(gt=0, description="How long a device may take from one request to the next."),
    ] = 10.0
