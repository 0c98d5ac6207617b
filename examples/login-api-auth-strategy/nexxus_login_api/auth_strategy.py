"""The strategy: signs in the users of a system that you have already, by asking its API.

The API gets ``POST <url>`` with ``{"username": …, "password": …}``. It answers 200 with
the user, or 401, 403 or 404 if there is none to sign in::

    {"id": "17", "email": "ann@example.org", "emailVerified": true, "details": {"firstName": "Ann"}}
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import httpx2
import msgspec
from msgspec import Meta

from nexxus.errors import ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, CredentialsStrategy, OwnAccounts, Subject
from nexxus.interfaces.logger import Logger
from nexxus_login_api.settings import LoginApiSettings

TIMEOUT: Final = 5.0
"""Seconds that the API may take for an answer: somebody waits for it."""


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /auth/login-api``."""

    username: Annotated[str, Meta(min_length=1, max_length=200)]
    password: Annotated[str, Meta(min_length=1, max_length=1000)]


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user, as the API describes it."""

    id: Annotated[str, Meta(min_length=1)]
    email: str | None = None
    email_verified: bool = False
    details: dict[str, Any] = {}


class LoginApiStrategy(CredentialsStrategy[LoginApiSettings, Login]):
    """Asks the API of the application for every sign-in, and keeps no password."""

    settings: ClassVar[type[msgspec.Struct]] = LoginApiSettings
    credentials: ClassVar[type[msgspec.Struct]] = Login

    def __init__(
        self, logger: Logger, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._logger = logger
        self._client = httpx2.AsyncClient(timeout=TIMEOUT, transport=transport)

    async def close(self) -> None:
        await self._client.aclose()

    def name_of(self, credentials: Login) -> str:
        return credentials.username

    async def verify(
        self, settings: LoginApiSettings, credentials: Login, *, accounts: OwnAccounts
    ) -> Account:
        answer = await self._ask(settings, credentials)
        if answer.status_code in (401, 403, 404):
            raise UserAuthenticationFailed("the name or the password is wrong")
        user = self._user(settings, answer)
        return Account(
            Subject(settings.issuer, user.id),
            address=user.email if user.email_verified else None,
            details=user.details,
        )

    async def _ask(self, settings: LoginApiSettings, credentials: Login) -> httpx2.Response:
        try:
            return await self._client.post(
                settings.url,
                content=msgspec.json.encode(credentials),
                headers={
                    "Authorization": f"Bearer {settings.token}",
                    "Content-Type": "application/json",
                },
            )
        except httpx2.TransportError as error:
            self._logger.warning("the sign-in API does not answer", url=settings.url, cause=error)
            raise _unavailable() from error

    def _user(self, settings: LoginApiSettings, answer: httpx2.Response) -> User:
        """Return the user of an answer; whatever else is in it is a mistake of the API's."""
        problem: object = f"it answered {answer.status_code}"
        if answer.status_code == 200:
            try:
                return msgspec.json.decode(answer.content, type=User)
            except msgspec.DecodeError as error:
                problem = error
        self._logger.warning("the sign-in API does not work", url=settings.url, cause=problem)
        raise _unavailable()


def _unavailable() -> ServiceUnavailable:
    # A client is not told why: what is behind the API is not its business.
    return ServiceUnavailable("nobody can sign in this way now; try again later")
