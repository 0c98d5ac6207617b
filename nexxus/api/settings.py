"""The API's settings."""

from __future__ import annotations

import msgspec


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are read and answered.

    `body` is in bytes, `depth` in levels; a larger or deeper body is refused. `cors_origins` are
    the origins whose pages may call the API, ``*`` for all. `trusted_proxies` are the addresses and
    networks whose ``X-Forwarded-`` headers are trusted. `hsts_max_age` is in seconds; 0 omits the
    header. `docs` serves the API's description.
    """

    body: int
    depth: int
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    hsts_max_age: int = 0
    docs: bool = True
