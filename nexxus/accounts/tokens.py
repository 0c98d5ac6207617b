"""Tokens: signed access tokens and derived refresh tokens.

An access token is a JWT (HS256, the application's own secret). A refresh token is
``<session>.<generation>.<HMAC of both>``: derived, not random, so that the retry of a refresh
whose answer was lost gets the very same next token, and a token of an older generation is
known as genuine, that is, as stolen. Only its SHA-256 is ever stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from nexxus.domain.application import Application
from nexxus.errors import InvalidRefreshToken, UserAuthenticationFailed, UserTokenExpired

# PyJWT brings in all of cryptography: it is imported with the first token, not at every start.
_ALGORITHM = "HS256"


class RefreshToken(msgspec.Struct, frozen=True):
    """What a genuine refresh token says."""

    session_id: str
    generation: int


def sign_access_token(application: Application, claims: dict[str, Any]) -> str:
    """The JWT of `claims`, which have ``iat`` and ``exp`` already."""
    import jwt

    return jwt.encode(claims, application.signing_secret, algorithm=_ALGORITHM)


def verify_access_token(application: Application, token: str) -> dict[str, Any]:
    """The claims of a token of this application.

    Raises `UserTokenExpired`, or `UserAuthenticationFailed` for whatever else is wrong.
    """
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            application.signing_secret,
            algorithms=[_ALGORITHM],
            options={"require": ["exp", "iat", "sub"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise UserTokenExpired("the access token has expired; refresh it") from None
    except jwt.InvalidTokenError:
        raise UserAuthenticationFailed("the access token does not verify; sign in") from None
    if claims.get("appId") != application.id:
        raise UserAuthenticationFailed("the access token is of another application")
    # Whoever knows the application's secret can sign what he likes; a session begins here alone.
    if not all(isinstance(claims.get(name), str) for name in ("sub", "sid", "deviceId")):
        raise UserAuthenticationFailed("the access token names no session and device; sign in")
    return claims


def application_named_in(token: str) -> str:
    """The application that a token claims to be of; nothing is verified yet."""
    import jwt

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError):
        raise UserAuthenticationFailed("that is not an access token; sign in") from None
    app_id = claims.get("appId")
    if not isinstance(app_id, str):
        raise UserAuthenticationFailed("the access token names no application; sign in")
    return app_id


def derive_refresh_token(application: Application, session_id: str, generation: int) -> str:
    """The refresh token of a generation of a session; always the same one."""
    body = f"{session_id}.{generation}"
    return f"{body}.{_mac(application, body)}"


def read_refresh_token(application: Application, token: str) -> RefreshToken:
    """What a refresh token says, if this application made it; else `InvalidRefreshToken`."""
    body, _, mac = token.rpartition(".")
    session_id, _, generation = body.rpartition(".")
    if not (token.isascii() and generation.isdigit() and len(generation) < 10):
        raise InvalidRefreshToken("that is not a refresh token; sign in again")
    if not hmac.compare_digest(mac, _mac(application, body)):
        raise InvalidRefreshToken("the refresh token is not genuine; sign in again")
    return RefreshToken(session_id, int(generation))


def hash_refresh_token(token: str) -> str:
    """The form in which a refresh token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def _mac(application: Application, body: str) -> str:
    key = application.signing_secret.encode()
    digest = hmac.digest(key, f"refresh|{application.id}|{body}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
