"""What an application sets for a provider."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, field

from nexxus.interfaces.auth_strategy import HttpUrl, RedirectSettings

GOOGLE: Final = "https://accounts.google.com"

NotEmpty = Annotated[str, Meta(min_length=1)]


class OpenIdSettings(RedirectSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ``openid``: any provider that publishes a discovery document at its `issuer`.

    `client_id` and `client_secret` are what the provider has given the application; a public
    client has no secret.
    """

    issuer: HttpUrl
    client_id: NotEmpty = field(name="clientID")
    client_secret: str = field(name="clientSecret", default="")


class GoogleSettings(OpenIdSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ``google``. Another `issuer` stands in for Google, in tests for example."""

    issuer: HttpUrl = GOOGLE
    client_secret: NotEmpty = field(name="clientSecret")
