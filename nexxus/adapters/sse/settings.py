"""What can be set about server-sent events."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class SseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.sse]``."""

    comment_interval: Annotated[
        float,
        Meta(gt=0, description="How often a comment shows the client, and what is between, life."),
    ] = 15.0
    retry: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a browser waits before it reconnects, as it is told; each "
            "client is told up to half more or less, so that they do not all come at once.",
        ),
    ] = 2.0
