"""The settings of the worker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class WebhooksSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.webhooks]``."""

    url: Annotated[
        str,
        Meta(pattern=r"^https?://[^\s/]+", description="Where each event is posted to."),
    ]
    secret: Annotated[
        str,
        Meta(
            pattern=r"^whsec_[A-Za-z0-9+/]{32,}={0,2}$",
            description="The key of the signatures: whsec_ and at least 24 bytes in base64.",
        ),
    ]
    models: Annotated[
        tuple[str, ...],
        Meta(description="The models whose events are posted; empty: all models."),
    ] = ()
    timeout: Annotated[
        float,
        Meta(gt=0, description="Seconds that the receiver may take for an answer."),
    ] = 10.0
    at_once: Annotated[
        int,
        Meta(ge=1, description="Requests that may be under way at the same time."),
    ] = 8
