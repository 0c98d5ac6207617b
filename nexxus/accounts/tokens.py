"""Tokens: signed access tokens and derived refresh tokens.

An access token is a JWT (HS256, the application's own secret). A refresh token is
``<session>.<generation>.<HMAC of both>``: it is derived, not random. So the retry of a refresh
whose answer was lost gets exactly the same next token, and a token of an older generation is
recognised as genuine, that is, as stolen. Only its SHA-256 is ever stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from nexxus.domain.application import Application
from nexxus.errors import InvalidRefreshToken, UserAuthenticationFailed, UserTokenExpired

# joserfc brings in all of cryptography: it is imported with the first token, not at every start.
if TYPE_CHECKING:
    from joserfc.jwk import OctKey

_ALGORITHM: Final = "HS256"
_KEYS: Final = 1024
"""How many applications' keys are kept ready to use."""


class InvalidToken(Exception):
    """A token that was not signed with this key, or is not a token at all."""


class RefreshToken(msgspec.Struct, frozen=True):
    """What a genuine refresh token says."""

    session_id: str
    generation: int


def sign(claims: dict[str, Any], secret: str) -> str:
    """Return the JWT of `claims`, signed with `secret`."""
    from joserfc import jwt

    return jwt.encode({"alg": _ALGORITHM}, claims, _key(secret), [_ALGORITHM])


def verify(token: str, secret: str) -> dict[str, Any]:
    """Return the claims of a JWT that `sign` made with `secret`; raise `InvalidToken` otherwise.

    Whether it has expired is for the caller to judge.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return jwt.decode(token, _key(secret), [_ALGORITHM]).claims
    except (JoseError, ValueError, RecursionError) as error:
        raise InvalidToken(str(error)) from None


def read_unverified(token: str) -> dict[str, Any]:
    """Return what a JWT claims, verifying nothing; raise `InvalidToken` if it is none."""
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        claims = msgspec.json.decode(jws.extract_compact(token.encode()).payload)
    except (JoseError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidToken(str(error)) from None
    if not isinstance(claims, dict):
        raise InvalidToken("the claims are not an object")
    return claims


def sign_access_token(application: Application, claims: dict[str, Any]) -> str:
    """Return the access token with these `claims`, which have ``iat`` and ``exp`` already."""
    return sign(claims, application.signing_secret)


def verify_access_token(application: Application, token: str, *, now: float) -> dict[str, Any]:
    """Return the claims of an access token of this application.

    Raises `UserTokenExpired`, or `UserAuthenticationFailed` for anything else that is wrong.
    """
    try:
        claims = verify(token, application.signing_secret)
    except InvalidToken:
        raise UserAuthenticationFailed("the access token does not verify; sign in") from None
    if claims.get("appId") != application.id:
        raise UserAuthenticationFailed("the access token is of another application")
    # Others may know the application's secret and sign with it, but only Nexxus begins sessions.
    if not all(isinstance(claims.get(name), str) for name in ("sub", "sid", "deviceId")):
        raise UserAuthenticationFailed("the access token names no session and device; sign in")
    expires_at = claims.get("exp")
    if type(expires_at) is not int:
        raise UserAuthenticationFailed("the access token does not say when it expires; sign in")
    if expires_at <= now:
        raise UserTokenExpired("the access token has expired; refresh it")
    return claims


def key_id(application: Application) -> str:
    """Return a name of the application's secret, from which the secret cannot be derived."""
    return _key_id(application.signing_secret)


def application_named_in(token: str) -> str:
    """Return the application that a token claims to be of; nothing is verified yet."""
    try:
        app_id = read_unverified(token).get("appId")
    except InvalidToken:
        raise UserAuthenticationFailed("that is not an access token; sign in") from None
    if not isinstance(app_id, str):
        raise UserAuthenticationFailed("the access token names no application; sign in")
    return app_id


def derive_refresh_token(application: Application, session_id: str, generation: int) -> str:
    """Return the refresh token of a generation of a session; it is always the same one."""
    body = f"{session_id}.{generation}"
    return f"{body}.{_mac(application, body)}"


def read_refresh_token(application: Application, token: str) -> RefreshToken:
    """Return what a refresh token says; raise `InvalidRefreshToken` if it is not genuine."""
    body, _, mac = token.rpartition(".")
    session_id, _, generation = body.rpartition(".")
    if not (token.isascii() and generation.isdigit() and len(generation) < 10):
        raise InvalidRefreshToken("that is not a refresh token; sign in again")
    if not hmac.compare_digest(mac, _mac(application, body)):
        raise InvalidRefreshToken("the refresh token is not genuine; sign in again")
    return RefreshToken(session_id, int(generation))


def hash_refresh_token(token: str) -> str:
    """Return the form in which a refresh token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def derive_secret(application: Application, purpose: str) -> str:
    """Return a secret of the application's own for one purpose: 43 characters of base64url."""
    key = application.signing_secret.encode()
    return _encode(hmac.digest(key, purpose.encode(), "sha256"))


def _mac(application: Application, body: str) -> str:
    return derive_secret(application, f"refresh|{application.id}|{body}")


def _encode(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@lru_cache(_KEYS)
def _key_id(secret: str) -> str:
    return hmac.digest(secret.encode(), b"key id", "sha256").hex()[:16]


@lru_cache(_KEYS)
def _key(secret: str) -> OctKey:
    from joserfc.jwk import OctKey

    return OctKey.import_key(secret)
