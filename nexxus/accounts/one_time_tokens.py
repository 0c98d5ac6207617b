"""One-time tokens: signed, short-lived, and accepted once on all nodes together.

They carry what would otherwise have to be stored between two requests of a browser, so any node
can finish what another one began. Only that a token was used is stored, until it expires.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from nexxus.accounts.tokens import InvalidToken, derive_secret, read_unverified, sign, verify
from nexxus.domain.application import Application
from nexxus.domain.objects import new_id
from nexxus.errors import UserAuthenticationFailed
from nexxus.interfaces.registry import ClaimStore

T = TypeVar("T", bound=msgspec.Struct)


class OneTimeToken(msgspec.Struct, Generic[T], frozen=True):
    """A genuine token: its id, its text and what it carries."""

    id: str
    text: str
    content: T


class OneTimeTokens(Generic[T]):
    """Issues and accepts the tokens of one `purpose`, which carry a `content` struct.

    A token expires after `lifetime` seconds. `clock` returns UNIX seconds. Each purpose has keys
    of its own, so a token is never taken for one of another purpose, or for an access token.
    """

    def __init__(
        self,
        claims: ClaimStore,
        content: type[T],
        *,
        purpose: str,
        lifetime: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._claims = claims
        self._content = content
        self._purpose = purpose
        self._lifetime = lifetime
        self._clock = clock

    def issue(self, application: Application, content: T) -> OneTimeToken[T]:
        """Make a token."""
        token_id = new_id()
        claims: dict[str, Any] = {
            "jti": token_id,
            "exp": int(self._clock()) + self._lifetime,
            "appId": application.id,
            "content": msgspec.to_builtins(content),
        }
        return OneTimeToken(token_id, sign(claims, self._secret(application)), content)

    def read(self, application: Application, text: str) -> OneTimeToken[T]:
        """Return a token that is genuine and has not expired, used or not.

        Raises `UserAuthenticationFailed` for any other.
        """
        try:
            claims = verify(text, self._secret(application))
            content = msgspec.convert(claims["content"], self._content)
        except (InvalidToken, KeyError, msgspec.ValidationError):
            raise self._refused() from None
        if claims["exp"] <= self._clock():
            raise self._refused()
        return OneTimeToken(claims["jti"], text, content)

    async def use(self, application: Application, token: OneTimeToken[T]) -> None:
        """Use a token up; raise `UserAuthenticationFailed` if it was used before."""
        kept = self._lifetime + 60  # longer than the token, by the difference of the nodes' clocks
        used = await self._claims.claim(application.id, self._purpose, token.id, b"used", kept)
        if used is not None:
            raise self._refused()

    def secret_of(self, application: Application, token: OneTimeToken[T], name: str) -> str:
        """Return a secret that belongs to one token: 43 characters of base64url.

        Who sees the token does not learn it, and every node derives the same one.
        """
        return self._derive(application, f"{name}|{token.id}")

    def _secret(self, application: Application) -> str:
        return self._derive(application, "key")

    def _derive(self, application: Application, name: str) -> str:
        # Applications that were given the same signing secret are still strangers.
        return derive_secret(application, f"{self._purpose}|{application.id}|{name}")

    def _refused(self) -> UserAuthenticationFailed:
        return UserAuthenticationFailed(
            f"the {self._purpose} is not genuine, has expired or was used before; sign in again"
        )


def application_of(text: str) -> str:
    """Return the application that a token claims to be of; nothing is verified yet.

    Raises `UserAuthenticationFailed` for what is not a token.
    """
    try:
        app_id = read_unverified(text).get("appId")
    except InvalidToken:
        app_id = None
    if not isinstance(app_id, str):
        raise UserAuthenticationFailed("that is not from a sign-in of ours; sign in again")
    return app_id
