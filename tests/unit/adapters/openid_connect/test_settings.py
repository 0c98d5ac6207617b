"""An application's settings for a provider."""

from __future__ import annotations

from typing import Any

import pytest

from nexxus.adapters.openid_connect.settings import GOOGLE, GoogleSettings, OpenIdSettings
from nexxus.domain.strategy_settings import read_entry
from nexxus.errors import InvalidParameters

TYPES = {"google": GoogleSettings, "openid": OpenIdSettings}
GIVEN = {"clientID": "us", "clientSecret": "shh", "callbackURL": "https://app.example/cb"}
ISSUER = {"issuer": "https://id.example"}


def test_googles_issuer_is_known_and_other_providers_set_theirs() -> None:
    _, google = read_entry("google", GIVEN, TYPES)
    _, other = read_entry("openid", GIVEN | ISSUER, TYPES)

    assert (google.issuer, google.redirect_urls) == (GOOGLE, ())
    assert other.issuer == "https://id.example"


def test_a_public_client_has_no_secret() -> None:
    entry = {"clientID": "us", "callbackURL": "https://app.example/cb", **ISSUER}
    assert read_entry("openid", entry, TYPES)[1].client_secret == ""


@pytest.mark.contract(
    "3. Sessions, users, devices", "a strategy with redirects needs its callbackURL"
)
@pytest.mark.contract(
    "2. Applications (tenants) and schemas", "the settings of strategies are checked"
)
@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("openid", {}, "issuer"),
        ("openid", {"issuer": "nonsense"}, "issuer"),
        ("google", {"clientID": None}, "clientID"),
        ("google", {"clientID": ""}, "clientID"),
        ("google", {"clientSecret": None}, "clientSecret"),
        ("google", {"callbackURL": None}, "callbackURL"),
        ("google", {"callbackURL": "/auth/google/callback"}, "callbackURL"),
        ("google", {"callbackURL": "javascript:alert(1)"}, "callbackURL"),
        ("google", {"redirectURLs": "https://app.example"}, "redirectURLs"),
        ("google", {"redirectURLs": ["nonsense"]}, "redirectURLs[0]"),
        ("google", {"clientId": "us"}, "clientId"),
    ],
)
def test_invalid_settings_are_refused(name: str, change: dict[str, Any], field: str) -> None:
    entry = {key: value for key, value in (GIVEN | change).items() if value is not None}

    with pytest.raises(InvalidParameters) as refusal:
        read_entry(name, entry, TYPES)

    assert refusal.value.details is not None
    assert refusal.value.details["field"] == f"auth.strategies.{name}.{field}"
