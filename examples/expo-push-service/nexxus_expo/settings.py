"""The settings of the push service."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ExpoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.expo]``."""

    access_token: Annotated[
        str,
        Meta(description="The token of the Expo account; empty if the account asks for none."),
    ] = ""
    url: Annotated[
        str,
        Meta(pattern=r"^https?://[^\s/]+$", description="The address of Expo's server."),
    ] = "https://exp.host"
    channel: Annotated[
        str,
        Meta(description="The Android notification channel of messages that are shown."),
    ] = "default"
    timeout: Annotated[
        float,
        Meta(gt=0, description="Seconds that Expo may take for an answer."),
    ] = 10.0
