"""Credentials in requests."""

from __future__ import annotations

from collections.abc import Mapping

from nexxus.errors import NoAuthPresent


def bearer_token(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the bearer token of a request, or None if there is none or another scheme."""
    header = headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, token = header.decode("latin-1").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def needed(token: str | None) -> str:
    """Return the token. Raises `NoAuthPresent` if there is none."""
    if token is None:
        raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
    return token
