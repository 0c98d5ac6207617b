"""Auth strategies: ways to sign in, with credentials or by a redirect to a provider.

There are two kinds. Both return who signs in as an `Account`. Nexxus then finds or creates the
user, the device and the session.
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

    `sub` identifies the person among all of `issuer` for ever: it does not change with the person's
    name or address, and is never assigned to another person. `issuer` should be a URL.
    """

    issuer: str
    sub: str


class Account(msgspec.Struct, frozen=True):
    """The person who signs in, as a strategy reports it.

    `address` is an email address that the issuer has verified; None if it has verified none. It may
    link the person to an existing account of that name, so it must never be an address that the
    person has only claimed. `details` become the details of a new user, as far as the application
    declares them.
    """

    subject: Subject
    address: str | None = None
    details: dict[str, Any] = {}


class OwnAccounts(ABC):
    """The accounts with passwords that Nexxus stores for the application."""

    @abstractmethod
    async def with_password(self, username: str, password: str) -> Subject | None:
        """Return the user of that name if the password is correct, else None.

        The call takes equally long for a wrong password and for a user who is disabled, unknown or
        without a password.
        """


class Challenge(msgspec.Struct, frozen=True):
    """The values that bind a provider's callback to the redirect that began the sign-in.

    `state` is sent to the provider and comes back. `nonce` and `verifier` (43 characters of
    ``A-Za-z0-9_-``) are secrets of the server. All three are the same in `RedirectStrategy.begin`
    and in `RedirectStrategy.complete`.
    """

    state: str
    nonce: str
    verifier: str


S = TypeVar("S", bound=msgspec.Struct)
C = TypeVar("C", bound=msgspec.Struct)


class AuthStrategy(ABC, Generic[S]):
    """The base of both kinds: every strategy is a `CredentialsStrategy` or a `RedirectStrategy`.

    `settings` is the type of its settings for one application, from ``auth.strategies.<name>``: a
    ``msgspec.Struct(frozen=True, forbid_unknown_fields=True)``. An application with an unknown or
    a missing key is refused when it is created or changed. A setting whose name ends in
    ``secret``, ``password``, ``token`` or ``credentials`` is never shown, and kept when a change
    leaves it out. None may be called ``strategy``.

    Every method may be called concurrently. A method that calls another service must limit the time
    that it waits, and raise `nexxus.errors.ServiceUnavailable` if there is no answer.
    """

    settings: ClassVar[type[msgspec.Struct]]

    async def close(self) -> None:
        """Release connections; may be called twice."""


class CredentialsStrategy(AuthStrategy[S], Generic[S, C]):
    """Signs users in with the credentials in the body of ``POST /auth/<name>``.

    `credentials` is the type of that body, without ``device`` and ``userType``. If `may_create` is
    False, the strategy signs in existing users only, and a ``userType`` is refused.
    """

    credentials: ClassVar[type[msgspec.Struct]]
    may_create: ClassVar[bool] = True

    @abstractmethod
    def name_of(self, credentials: C) -> str:
        """Return the name of the account that the credentials are for.

        Nexxus counts the failed attempts for each name, and refuses further ones after too many.
        """

    @abstractmethod
    async def verify(self, settings: S, credentials: C, *, accounts: OwnAccounts) -> Account:
        """Return the person to whom the credentials belong.

        Raises `nexxus.errors.UserAuthenticationFailed` if they are wrong, with the same message
        whatever is wrong about them.
        """


class RedirectSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every redirect strategy has.

    `callback_url` is the address to which the provider sends the browser back: the public URL of
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

        The provider must send it back to `settings.callback_url`.
        """

    @abstractmethod
    async def complete(
        self, settings: R, *, challenge: Challenge, parameters: Mapping[str, str]
    ) -> Account:
        """Return the person whom the provider has signed in, from the callback's query
        `parameters`.

        Raises `nexxus.errors.UserAuthenticationFailed` if the provider has signed nobody in.
        """
