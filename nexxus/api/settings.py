"""What can be set about the API."""

from __future__ import annotations

import msgspec


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are read and answered.

    `body` is in bytes, `depth` in levels; a larger or deeper body is refused. `cors_origins` are
    the origins whose pages may call, ``*`` for all; `trusted_proxies` the addresses and networks
    whose ``X-Forwarded-`` headers count. `hsts_max_age` is in seconds, 0 for no such header. With
    `docs` the API describes itself.
    """

    body: int
    depth: int
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    hsts_max_age: int = 0
    docs: bool = True
