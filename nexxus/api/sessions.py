"""Sessions: registering, signing in, refreshing, logging out."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Meta

from nexxus.accounts.passwords import PASSWORD_PROVIDER
from nexxus.accounts.redirect_sign_in import BeginRequest, Cookie
from nexxus.accounts.sign_in import NewSession
from nexxus.accounts.strategies import RedirectEntry
from nexxus.accounts.tickets import LIFETIME
from nexxus.api import answers
from nexxus.api.endpoints import Admission, Parameter, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Headers
from nexxus.domain.decoding import convert
from nexxus.errors import (
    AccessDenied,
    ApplicationNotFound,
    InvalidAuthMethod,
    InvalidRefreshToken,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    UserAlreadyExists,
    UserAuthenticationFailed,
)

_section = RouteSection("Sessions", access=Admission.APPLICATION)
ENDPOINTS = _section.endpoints

_URL: Final = "%:/?#[]@!$&'()*+,;=~"
"""Characters that are not escaped in a redirect URL; other characters were written by hand."""


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The base class of the bodies in this module."""


SignInBody: TypeAlias = Annotated[
    dict[str, Any],
    Meta(
        description="What the strategy needs. `local`: `username` and `password`. A provider: "
        "`redirect?`, the page at which the sign-in ends. All: `device?: {id?, name?}` and, if the "
        "strategy creates users, `userType?`.",
        examples=[{"username": "ann", "password": "correct horse", "device": {"name": "phone"}}],
    ),
]


class RefreshRequest(_Body, frozen=True, kw_only=True):
    """The session's refresh token."""

    refresh_token: str


class CodeRequest(_Body, frozen=True, kw_only=True):
    """The code that a sign-in at a provider passed to the page at which it ended."""

    code: str


@_section.route(
    "POST",
    "/user/register",
    body=dict[str, Any],
    answers={200: answers.SignedIn},
    errors=(InvalidAuthMethod, AccessDenied, UserAlreadyExists),
)
async def register(request: Request[dict[str, Any]]) -> Answer[answers.SignedIn]:
    """Register a user and sign in, with username, password, userType? and the user's details."""
    session = await request.services.accounts.users.register(request.application, request.body)
    return _signed_in(session)


@_section.route(
    "POST",
    "/auth/refresh",
    body=RefreshRequest,
    answers={200: answers.TokenPair},
    errors=(InvalidRefreshToken,),
)
async def refresh(request: Request[RefreshRequest]) -> Answer[answers.TokenPair]:
    """Rotate both tokens; the previous refresh token still works for some seconds."""
    tokens = await request.services.accounts.sessions.refresh(
        request.application, request.body.refresh_token
    )
    return Answer(200, answers.TokenPair(token=tokens.token, refresh_token=tokens.refresh_token))


@_section.route("POST", "/auth/logout", body=RefreshRequest, answers={200: answers.Done})
async def log_out(request: Request[RefreshRequest]) -> Answer[answers.Done]:
    """End the session; succeeds even if it has already ended."""
    await request.services.accounts.sessions.log_out(
        request.application, request.body.refresh_token
    )
    return Answer(200, answers.Done(message="logged out"))


@_section.route("POST", "/auth/ticket", answers={200: answers.Ticket}, access=Admission.DEVICE)
async def issue_ticket(request: Request[None]) -> Answer[answers.Ticket]:
    """Get a ticket, which replaces the access token once, as ?ticket= of a live connection."""
    ticket = request.services.accounts.tickets.issue(request.identity)
    return Answer(200, answers.Ticket(ticket=ticket, expires_in=LIFETIME))


@_section.route(
    "POST",
    "/auth/exchange",
    body=CodeRequest,
    answers={200: answers.SignedIn},
    errors=(UserAuthenticationFailed,),
)
async def exchange(request: Request[CodeRequest]) -> Answer[answers.SignedIn]:
    """Exchange the code of a sign-in at a provider for a session; each code works once."""
    session = await request.services.accounts.redirects.exchange(
        request.application, request.body.code
    )
    return _signed_in(session)


@_section.route(
    "POST",
    "/auth/local",  # a strategy like others, but described separately
    "/auth/{strategy}",
    body=SignInBody,
    answers={200: answers.SignedIn, 302: answers.Done},
    errors=(
        UserAuthenticationFailed,
        AccessDenied,
        NotFound,
        UserAlreadyExists,
        TooManyRequests,
        ServiceUnavailable,
    ),
)
async def sign_in(
    request: Request[dict[str, Any]],
) -> Answer[answers.SignedIn] | Answer[answers.Done]:
    """Sign in with credentials, or redirect to a provider."""
    accounts, application = request.services.accounts, request.application
    name = request.path.get("strategy", PASSWORD_PROVIDER)
    entry = accounts.strategies.entry(application, name)
    if isinstance(entry, RedirectEntry):
        return await _begin(request, entry, convert(request.body, BeginRequest))
    session = await accounts.credentials.sign_in(application, entry, request.body)
    return _signed_in(session)


@_section.route(
    "GET",
    "/auth/{strategy}",
    answers={302: answers.Done},
    errors=(AccessDenied, NotFound, MethodNotAllowed, ServiceUnavailable),
    app_id_in_query=True,
    parameters=(
        Parameter("appId", "query", "The application, for a browser.", {"type": "string"}),
        Parameter("userType", "query", "The type of a new user.", {"type": "string"}),
        Parameter("redirect", "query", "The page at which the sign-in ends.", {"type": "string"}),
    ),
)
async def begin_in_browser(request: Request[None]) -> Answer[answers.Done]:
    """Redirect to a provider, from a link."""
    entry = request.services.accounts.strategies.entry(
        request.application, request.path["strategy"]
    )
    if not isinstance(entry, RedirectEntry):
        raise MethodNotAllowed(
            f"the sign-in strategy {entry.name!r} needs credentials; use POST", allow=("POST",)
        )
    query = request.query
    begin = BeginRequest(user_type=query.get("userType"), redirect=query.get("redirect"))
    return await _begin(request, entry, begin)


@_section.route(
    "GET",
    "/auth/{strategy}/callback",
    answers={200: answers.SignedIn, 302: answers.Done},
    errors=(
        UserAuthenticationFailed,
        AccessDenied,
        ApplicationNotFound,
        NotFound,
        UserAlreadyExists,
        ServiceUnavailable,
    ),
    parameters=(
        Parameter("state", "query", "The state from the redirect.", {"type": "string"}),
        Parameter("code", "query", "The provider's code.", {"type": "string"}),
    ),
    access=Admission.PUBLIC,
)
async def complete(request: Request[None]) -> Answer[answers.SignedIn] | Answer[answers.Done]:
    """Complete a sign-in at a provider."""
    arrival = await request.services.accounts.redirects.complete(
        request.path["strategy"], request.query, request.cookies
    )
    cookie = _set_cookie(arrival.cookie)
    if isinstance(arrival.outcome, NewSession):
        return _signed_in(arrival.outcome, (cookie,))
    return _redirect(arrival.outcome, "continue in the application", cookie)


async def _begin(
    request: Request[Any], entry: RedirectEntry, begin: BeginRequest
) -> Answer[answers.Done]:
    departure = await request.services.accounts.redirects.begin(request.application, entry, begin)
    return _redirect(departure.url, "continue at the provider", _set_cookie(departure.cookie))


def _redirect(url: str, message: str, cookie: tuple[bytes, bytes]) -> Answer[answers.Done]:
    location = (b"location", quote(url, safe=_URL).encode("ascii"))
    return Answer(302, answers.Done(message=message), (location, cookie))


def _set_cookie(cookie: Cookie) -> tuple[bytes, bytes]:
    secure = "; Secure" if cookie.secure else ""
    text = (
        f"{cookie.name}={cookie.value}; Path={quote(cookie.path)}; Max-Age={cookie.max_age}; "
        f"HttpOnly; SameSite=Lax{secure}"
    )
    return b"set-cookie", text.encode("ascii")


def _signed_in(session: NewSession, headers: Headers = ()) -> Answer[answers.SignedIn]:
    answer = answers.SignedIn(
        token=session.tokens.token,
        refresh_token=session.tokens.refresh_token,
        device=answers.SessionDevice(id=session.device.id, name=session.device.name),
        user=answers.SessionUser(id=session.user.id, username=session.user.username),
    )
    return Answer(200, answer, headers)
