"""Sessions: registering, signing in, refreshing, logging out."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.accounts.users import DeviceHint, SignedIn
from nexxus.api import answers
from nexxus.api.endpoints import Admission, Parameter, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import (
    AccessDenied,
    ApplicationNotFound,
    InvalidAuthMethod,
    InvalidRefreshToken,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    UserAlreadyExists,
    UserAuthenticationFailed,
)

_section = RouteSection("Sessions", access=Admission.APPLICATION)
ENDPOINTS = _section.endpoints


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the bodies here have in common."""


class SignIn(_Body, frozen=True, kw_only=True):
    """A user name and a password; `device` names the device to use again."""

    username: str
    password: str
    device: DeviceHint | None = None


class ExternalSignInRequest(_Body, frozen=True, kw_only=True):
    """How to come back from the provider."""

    user_type: str | None = None
    device: DeviceHint | None = None


class RefreshRequest(_Body, frozen=True, kw_only=True):
    """The session's refresh token."""

    refresh_token: str


@_section.route(
    "POST",
    "/user/register",
    body=dict[str, Any],
    answers={200: answers.SignedIn},
    errors=(InvalidAuthMethod, AccessDenied, UserAlreadyExists),
)
async def register(request: Request[dict[str, Any]]) -> Answer:
    """Register a user and sign in: username, password, userType? and the user's details."""
    signed_in = await request.services.users.register(request.application, request.body)
    return _session(signed_in)


@_section.route(
    "POST",
    "/auth/local",
    body=SignIn,
    answers={200: answers.SignedIn},
    errors=(UserAuthenticationFailed, NotFound, TooManyRequests),
)
async def sign_in(request: Request[SignIn]) -> Answer:
    """Sign in with a user name and a password."""
    body = request.body
    signed_in = await request.services.users.sign_in(
        request.application, body.username, body.password, body.device
    )
    return _session(signed_in)


@_section.route(
    "POST",
    "/auth/refresh",
    body=RefreshRequest,
    answers={200: answers.TokenPair},
    errors=(InvalidRefreshToken,),
)
async def refresh(request: Request[RefreshRequest]) -> Answer:
    """Rotate both tokens; the previous refresh token works for some seconds more."""
    tokens = await request.services.sessions.refresh(
        request.application, request.body.refresh_token
    )
    return Answer(200, tokens)


@_section.route("POST", "/auth/logout", body=RefreshRequest, answers={200: answers.Done})
async def log_out(request: Request[RefreshRequest]) -> Answer:
    """End the session, whether or not it is live."""
    await request.services.sessions.log_out(request.application, request.body.refresh_token)
    return Answer(200, answers.Done(message="logged out"))


@_section.route(
    "POST",
    "/auth/{strategy}",
    body=ExternalSignInRequest,
    answers={302: answers.Done},
    errors=(NotFound, ServiceUnavailable),
)
async def begin(request: Request[ExternalSignInRequest]) -> Answer:
    """Go to a provider to sign in."""
    return await _begin(request, request.body)


@_section.route(
    "GET",
    "/auth/{strategy}",
    answers={302: answers.Done},
    errors=(NotFound, ServiceUnavailable),
    app_id_in_query=True,
    parameters=(
        Parameter("appId", "query", "The application, for a browser.", {"type": "string"}),
        Parameter("userType", "query", "The type of a new user.", {"type": "string"}),
    ),
)
async def begin_in_browser(request: Request[None]) -> Answer:
    """Go to a provider to sign in, from a link."""
    return await _begin(request, ExternalSignInRequest(user_type=request.query.get("userType")))


@_section.route(
    "GET",
    "/auth/{strategy}/callback",
    answers={200: answers.SignedIn},
    errors=(
        UserAuthenticationFailed,
        AccessDenied,
        ApplicationNotFound,
        NotFound,
        ServiceUnavailable,
    ),
    parameters=(
        Parameter("state", "query", "What came with the redirect.", {"type": "string"}),
        Parameter("code", "query", "What the provider gave.", {"type": "string"}),
    ),
    access=Admission.PUBLIC,
)
async def complete(request: Request[None]) -> Answer:
    """Come back from a provider."""
    signed_in = await request.services.external_sign_in.complete(
        request.path["strategy"], request.query
    )
    return _session(signed_in)


async def _begin(request: Request[Any], body: ExternalSignInRequest) -> Answer:
    name = request.path["strategy"]
    url = await request.services.external_sign_in.begin(
        request.application,
        name,
        user_type=body.user_type,
        hint=body.device,
        default_callback_url=f"{request.base_url}/auth/{name}/callback",
    )
    location = (b"location", url.encode("ascii"))
    return Answer(302, answers.Done(message="continue at the provider"), (location,))


def _session(signed_in: SignedIn) -> Answer:
    return Answer(200, signed_in.to_wire())
