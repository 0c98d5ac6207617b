"""Signing in at a provider: the redirect, the callback, and what binds them to each other.

The *state* that travels through the provider is a one-time token: it names the application and
says how the sign-in was begun. The secrets of the challenge (nonce, PKCE verifier) and the cookie
that ties the state to the browser are derived from its id. So nothing is stored until the state is
used, and any node can finish what another one began.

A sign-in may end at a page of the application: the browser is then sent there with a *code*, a
one-time token that the page exchanges for the session.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from nexxus.accounts.one_time_tokens import OneTimeToken, OneTimeTokens, application_of
from nexxus.accounts.provider_accounts import ProviderAccounts
from nexxus.accounts.sign_in import DeviceHint, NewSession, SignIn
from nexxus.accounts.strategies import RedirectEntry, Strategies
from nexxus.accounts.user_records import User, UserRecords
from nexxus.applications.applications import Applications
from nexxus.domain.application import Application
from nexxus.errors import (
    InvalidParameters,
    NotFound,
    UserAuthenticationFailed,
    WireError,
)
from nexxus.interfaces.auth_strategy import Challenge
from nexxus.interfaces.registry import ClaimStore

STATE_LIFETIME: Final = 600
CODE_LIFETIME: Final = 60
_COOKIE: Final = "nxx-sign-in-"


class Departure(msgspec.Struct, frozen=True):
    """Where the browser is sent to sign in, and the cookie that it is to keep meanwhile."""

    url: str
    cookie: Cookie


class Cookie(msgspec.Struct, frozen=True):
    """A cookie for one path; `max_age` is in seconds, 0 removes it."""

    name: str
    value: str
    path: str
    max_age: int
    secure: bool


class Arrival(msgspec.Struct, frozen=True):
    """What became of a sign-in: a session, or the `url` of a page that learns of it."""

    outcome: NewSession | str
    cookie: Cookie


class BeginRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """How a sign-in begins.

    `user_type` is for a user who is new, `device` names the device to use again, and `redirect`
    is the page at which the sign-in ends, one of the strategy's ``redirectURLs``.
    """

    user_type: str | None = None
    device: DeviceHint | None = None
    redirect: str | None = None


class _State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the state carries."""

    strategy: str
    begun: BeginRequest = BeginRequest()


class _Code(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the code carries: who has signed in, and on which device."""

    user: str
    device: DeviceHint | None = None


class RedirectSignIn:
    """Sends users to a provider and receives them back. `clock` returns UNIX seconds."""

    def __init__(
        self,
        *,
        applications: Applications,
        strategies: Strategies,
        records: UserRecords,
        accounts: ProviderAccounts,
        sign_in: SignIn,
        claims: ClaimStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._applications = applications
        self._strategies = strategies
        self._records = records
        self._accounts = accounts
        self._sign_in = sign_in
        self._states = OneTimeTokens(
            claims, _State, purpose="sign-in-state", lifetime=STATE_LIFETIME, clock=clock
        )
        self._codes = OneTimeTokens(
            claims, _Code, purpose="sign-in-code", lifetime=CODE_LIFETIME, clock=clock
        )

    async def begin(
        self, application: Application, entry: RedirectEntry, request: BeginRequest
    ) -> Departure:
        """Return where to send the browser.

        Raises `InvalidParameters` for a `redirect` that the application does not allow.
        """
        if request.user_type is not None:
            application.users().choose_user_type(request.user_type)
        _require_allowed(request.redirect, entry)
        state = self._states.issue(application, _State(entry.name, request))
        url = await entry.strategy.begin(
            entry.settings, challenge=self._challenge(application, state)
        )
        return Departure(url, self._cookie(application, entry, state))

    async def complete(
        self, name: str, parameters: Mapping[str, str], cookies: Mapping[str, str]
    ) -> Arrival:
        """Finish a sign-in by the query `parameters` of the provider's redirect.

        Once the state has proven genuine, a failure goes to the page at which the sign-in ends,
        if it has one. Raises `UserAuthenticationFailed` for a state that is not genuine, has
        expired, was used, or was begun in another browser.
        """
        text = parameters.get("state")
        if not text:
            raise InvalidParameters("state: is missing; sign in again", {"field": "state"})
        application = self._applications.get(application_of(text))
        state = self._states.read(application, text)
        if state.content.strategy != name:
            raise UserAuthenticationFailed("this sign-in was begun with another provider")
        entry = self._strategies.entry(application, name)
        if not isinstance(entry, RedirectEntry):
            raise NotFound(f"the sign-in strategy {name!r} does not lead to a provider")
        cookie = self._cookie(application, entry, state)
        page = state.content.begun.redirect
        _require_allowed(page, entry)
        try:
            given = cookies.get(cookie.name, "")
            if not hmac.compare_digest(given.encode(), cookie.value.encode()):
                raise UserAuthenticationFailed(
                    "this sign-in was begun in another browser, or its cookie was not kept; sign "
                    "in again"
                )
            await self._states.use(application, state)
            with self._sign_in.attempt():
                user = await self._authenticate(application, entry, state, parameters)
                outcome = await self._finish(application, user, state.content.begun.device, page)
        except WireError as error:
            if page is None:
                raise
            outcome = _with_query(page, error=error.name)
        return Arrival(outcome, msgspec.structs.replace(cookie, value="", max_age=0))

    async def exchange(self, application: Application, text: str) -> NewSession:
        """Return the session that a code stands for; raise `UserAuthenticationFailed` for none."""
        code = self._codes.read(application, text)
        await self._codes.use(application, code)
        user = await self._records.get(application.id, code.content.user)
        if user is None or user.disabled:
            raise UserAuthenticationFailed("this account cannot be used")
        return await self._sign_in.begin(application, user, code.content.device)

    async def _authenticate(
        self,
        application: Application,
        entry: RedirectEntry,
        state: OneTimeToken[_State],
        parameters: Mapping[str, str],
    ) -> User:
        account = await entry.strategy.complete(
            entry.settings, challenge=self._challenge(application, state), parameters=parameters
        )
        return await self._accounts.user_of(
            application, entry.name, account, state.content.begun.user_type
        )

    async def _finish(
        self, application: Application, user: User, device: DeviceHint | None, page: str | None
    ) -> NewSession | str:
        if page is None:
            return await self._sign_in.begin(application, user, device)
        return _with_query(page, code=self._codes.issue(application, _Code(user.id, device)).text)

    def _challenge(self, application: Application, state: OneTimeToken[_State]) -> Challenge:
        return Challenge(
            state=state.text,
            nonce=self._states.secret_of(application, state, "nonce"),
            verifier=self._states.secret_of(application, state, "verifier"),
        )

    def _cookie(
        self, application: Application, entry: RedirectEntry, state: OneTimeToken[_State]
    ) -> Cookie:
        callback = urlsplit(entry.settings.callback_url)
        return Cookie(
            name=f"{_COOKIE}{state.id}",
            value=self._states.secret_of(application, state, "browser"),
            path=callback.path or "/",
            max_age=STATE_LIFETIME,
            secure=callback.scheme == "https",
        )


def _require_allowed(page: str | None, entry: RedirectEntry) -> None:
    if page is not None and page not in entry.settings.redirect_urls:
        raise InvalidParameters(
            f"redirect: {page[:256]!r} is not one of the redirectURLs of "
            f"auth.strategies.{entry.name}",
            {"field": "redirect"},
        )


def _with_query(url: str, **parameters: Any) -> str:
    """Add parameters to a URL, whose own query stays."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit(parts._replace(query=query))
