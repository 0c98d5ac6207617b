"""What an application sets for the strategy."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from nexxus.interfaces.auth_strategy import HttpUrl


class LoginApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An application has this under ``auth.strategies.login-api``."""

    url: Annotated[HttpUrl, Meta(description="Where names and passwords are posted to.")]
    issuer: Annotated[
        HttpUrl,
        Meta(description="The URL that stands for the system; if it changes, so do all users."),
    ]
    token: Annotated[
        str,
        Meta(min_length=16, description="What Nexxus proves itself with, as a bearer token."),
    ]
