"""Credentials: what a request proves itself with."""

from __future__ import annotations

from collections.abc import Mapping

from nexxus.errors import NoAuthPresent


def bearer_token(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the bearer token of a request; None without one or with another scheme."""
    header = headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, token = header.decode("latin-1").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def needed(token: str | None) -> str:
    """Return the token; raise `NoAuthPresent` without one."""
    if token is None:
        raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
    return token
