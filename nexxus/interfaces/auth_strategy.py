"""Auth strategies: ways to sign in at somebody else's, such as an OpenID Connect provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec


class Account(msgspec.Struct, frozen=True):
    """Whom a provider vouches for. `email` is verified by the provider.

    `details` are offered to the user's details; those that the application's schema declares
    are kept.
    """

    email: str
    details: dict[str, Any] = {}


class Challenge(msgspec.Struct, frozen=True):
    """What ties the way back to the way there; one per sign-in.

    `state` travels through the provider and comes back; `nonce` and `verifier` (43 characters
    of ``A-Za-z0-9_-``) are secrets of the server that are the same in `AuthStrategy.begin` and
    in `AuthStrategy.complete`.
    """

    state: str
    nonce: str
    verifier: str


class AuthStrategy(ABC):
    """Signs users in with a provider, in two steps around a redirect.

    `settings` are the application's, from ``auth.strategies.<name>``, its secrets included.
    Every method may be called concurrently, and puts a time limit on whatever it asks the
    provider; a provider that does not answer is a `nexxus.errors.ServiceUnavailable`.
    """

    @abstractmethod
    async def begin(
        self, settings: Mapping[str, Any], *, challenge: Challenge, callback_url: str
    ) -> str:
        """The provider's URL to which the user is sent.

        Raises `nexxus.errors.InvalidParameters` for settings that cannot work.
        """

    @abstractmethod
    async def complete(
        self,
        settings: Mapping[str, Any],
        *,
        challenge: Challenge,
        callback_url: str,
        parameters: Mapping[str, str],
    ) -> Account:
        """Whom the provider vouches for, by the query `parameters` of its redirect.

        Raises `nexxus.errors.UserAuthenticationFailed` when it vouches for nobody, or for an
        email that is not verified.
        """

    async def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of whatever is held; may be called twice."""
