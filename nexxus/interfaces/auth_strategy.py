"""Auth strategies: ways to sign in, with credentials or by a redirect to a provider.

The two kinds are siblings. Both say who signs in as an `Account`; finding or making the user that
it belongs to, its device and its session is the business of Nexxus.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

HttpUrl: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+", max_length=2048)]
"""An absolute URL, for the settings of strategies."""


class Subject(msgspec.Struct, frozen=True):
    """A person, as one issuer knows them.

    `sub` names the person among all of `issuer`, for good: it does not change with their name or
    address, and is never given to anybody else. `issuer` is best a URL.
    """

    issuer: str
    sub: str


class Account(msgspec.Struct, frozen=True):
    """Who signs in, as a strategy says.

    `address` is an email address that the issuer has proven to be the person's; None if it has
    proven none. It may link the person to an account of that name, so it must never be one that
    the person has only claimed. `details` are for a new user's details; Nexxus keeps those that
    the application declares.
    """

    subject: Subject
    address: str | None = None
    details: dict[str, Any] = {}


class OwnAccounts(ABC):
    """The accounts with passwords that Nexxus itself keeps for the application."""

    @abstractmethod
    async def with_password(self, username: str, password: str) -> Subject | None:
        """Return the user of that name if the password is right, else None.

        A user who is disabled, unknown or without a password takes as long as a wrong password.
        """


class Challenge(msgspec.Struct, frozen=True):
    """What ties the way back from a provider to the way there; one per sign-in.

    `state` travels through the provider and comes back. `nonce` and `verifier` (43 characters of
    ``A-Za-z0-9_-``) are secrets of the server. All three are the same in `RedirectStrategy.begin`
    and in `RedirectStrategy.complete`.
    """

    state: str
    nonce: str
    verifier: str


S = TypeVar("S", bound=msgspec.Struct)
C = TypeVar("C", bound=msgspec.Struct)


class AuthStrategy(ABC, Generic[S]):
    """What both kinds have in common; a strategy is a `CredentialsStrategy` or a
    `RedirectStrategy`.

    `settings` is the type of its settings for one application, from ``auth.strategies.<name>``: a
    ``msgspec.Struct(frozen=True, forbid_unknown_fields=True)``. An application with an unknown or
    a missing key is refused when it is created or changed. A setting whose name ends in
    ``secret``, ``password``, ``token`` or ``credentials`` is never shown, and kept when a change
    leaves it out. None may be called ``strategy``.

    Every method may be called concurrently. It puts a time limit on whatever it asks elsewhere,
    and raises `nexxus.errors.ServiceUnavailable` if it gets no answer.
    """

    settings: ClassVar[type[msgspec.Struct]]

    async def close(self) -> None:
        """Release connections; may be called twice."""


class CredentialsStrategy(AuthStrategy[S], Generic[S, C]):
    """Signs users in with what they send in the body of ``POST /auth/<name>``.

    `credentials` is the type of that body, without ``device`` and ``userType``. Where
    `may_create` is False, it only signs in users that exist, and a ``userType`` is refused.
    """

    credentials: ClassVar[type[msgspec.Struct]]
    may_create: ClassVar[bool] = True

    @abstractmethod
    def name_of(self, credentials: C) -> str:
        """Return the name of the account that the credentials are for.

        Nexxus counts failed attempts by it, and refuses more when there are too many.
        """

    @abstractmethod
    async def verify(self, settings: S, credentials: C, *, accounts: OwnAccounts) -> Account:
        """Return whose credentials these are.

        Raises `nexxus.errors.UserAuthenticationFailed`, with one and the same message, if they are
        wrong in whatever way.
        """


class RedirectSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every strategy of redirects has.

    `callback_url` is where the provider sends the browser back to: the public address of
    ``/auth/<name>/callback``. A sign-in may end at one of `redirect_urls`.
    """

    callback_url: HttpUrl = msgspec.field(name="callbackURL")
    redirect_urls: tuple[HttpUrl, ...] = msgspec.field(name="redirectURLs", default=())


R = TypeVar("R", bound=RedirectSettings)


class RedirectStrategy(AuthStrategy[R]):
    """Signs users in at a provider, in two steps around a redirect."""

    @abstractmethod
    async def begin(self, settings: R, *, challenge: Challenge) -> str:
        """Return the URL of the provider to which the browser is sent.

        The provider is to send it back to `settings.callback_url`.
        """

    @abstractmethod
    async def complete(
        self, settings: R, *, challenge: Challenge, parameters: Mapping[str, str]
    ) -> Account:
        """Return whom the provider vouches for, by the query `parameters` of the callback.

        Raises `nexxus.errors.UserAuthenticationFailed` if it vouches for nobody.
        """
