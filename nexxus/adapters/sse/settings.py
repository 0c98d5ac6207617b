"""What can be set about server-sent events."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class SseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.sse]``."""

    comment_interval: Annotated[
        float,
        Meta(
            gt=0,
            description="How often a comment is sent, so that clients and proxies keep the "
            "connection.",
        ),
    ] = 15.0
    retry: Annotated[
        float,
        Meta(
            gt=0,
            description="How long browsers wait before they reconnect; the server varies "
            "it by up to half per client, so that they do not all reconnect at the same time.",
        ),
    ] = 2.0
