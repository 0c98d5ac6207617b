"""The calling user."""

from __future__ import annotations

import msgspec

from nexxus.accounts.users import Me
from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import InvalidAuthMethod, UserAlreadyExists
from nexxus.objects.requests import AnyPatch

_section = RouteSection("Users", access=Admission.DEVICE)
ENDPOINTS = _section.endpoints


class UserPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A patch of the user name, the password or the details."""

    patch: AnyPatch


@_section.route("GET", "/user/me", answers={200: Me}, errors=(InvalidAuthMethod,))
async def me(request: Request[None]) -> Answer[Me]:
    """Get the calling user; changes are visible after the next token refresh."""
    return Answer(200, request.services.accounts.users.me(request.application, request.identity))


@_section.route(
    "PUT",
    "/user",
    body=UserPatch,
    answers={200: answers.Done},
    errors=(InvalidAuthMethod, UserAlreadyExists),
)
async def change(request: Request[UserPatch]) -> Answer[answers.Done]:
    """Change the calling user; a new password ends the user's other sessions."""
    users = request.services.accounts.users
    await users.change(request.application, request.identity, request.body.patch)
    return Answer(200, answers.Done(message="user updated"))
