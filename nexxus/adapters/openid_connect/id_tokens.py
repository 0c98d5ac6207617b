"""ID tokens: what a provider has signed for one client, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from nexxus.errors import UserAuthenticationFailed

_LEEWAY: Final = 60
"""By how many seconds a provider's clock may differ."""

_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("Ed25519", "Ed448", "EdDSA"),
)
"""Signatures that only the provider can make: never HS256, whose key every client has."""


class UnknownKey(UserAuthenticationFailed):
    """The token was signed with a key that is not known, or not known any more."""


def import_keys(document: Mapping[str, Any]) -> KeySet:
    """Return a provider's usable signing keys; others, also of unknown kinds, are left out."""
    keys: list[Key] = []
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("use", "sig") == "sig":
            try:
                keys.append(JWKRegistry.import_key(entry))
            except (JoseError, ValueError, KeyError, TypeError):
                continue
    return KeySet(keys)


def verify_id_token(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Return the claims of an ID token that the issuer has signed for this client and sign-in.

    Raises `UnknownKey` if none of `keys` has signed it, and `UserAuthenticationFailed` for
    anything else that is wrong.
    """
    registry = JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
    registry.max_header_length = 8192  # some providers send their certificates along
    essential: dict[str, Any] = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
    }
    try:
        decoded = jwt.decode(token, keys, registry=registry)
        claims = CodeIDToken(
            decoded.claims, decoded.header, essential, {"nonce": nonce, "client_id": client_id}
        )
        claims.validate(leeway=_LEEWAY)
    except (BadSignatureError, InvalidKeyIdError) as error:
        raise UnknownKey(f"no key of the provider has signed its ID token: {error}") from None
    except (JoseError, ValueError, TypeError) as error:
        raise UserAuthenticationFailed(
            f"the provider's ID token does not verify: {error}"
        ) from None
    return dict(claims)
