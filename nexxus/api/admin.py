"""Administration of applications and their users, with the admin key."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nexxus.api import answers
from nexxus.api.endpoints import Admission, Parameter, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import (
    ApplicationAlreadyExists,
    ApplicationNotFound,
    InvalidAuthMethod,
    NotFound,
    ServiceUnavailable,
    VersionConflict,
)
from nexxus.objects.replies import Items

_section = RouteSection("Administration", access=Admission.ADMIN)
ENDPOINTS = _section.endpoints

_MAX_USERS = 1000
_MANY = 2**31


class UserChange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What an administrator may change about a user; any change ends the user's sessions."""

    user_type: Annotated[str, Meta(description="A user type of the application.")] | None = None
    disabled: Annotated[bool, Meta(description="Whether the user may not sign in.")] | None = None


@_section.route(
    "POST",
    "/admin/applications",
    body=dict[str, Any],
    answers={201: answers.Object},
    errors=(ApplicationAlreadyExists, ServiceUnavailable, VersionConflict),
)
async def create(request: Request[dict[str, Any]]) -> Answer[answers.Object]:
    """Create an application."""
    application = await request.services.applications.create(request.body)
    return Answer(201, answers.Object(data=application.public_document()))


@_section.route("GET", "/admin/applications", answers={200: answers.Found})
async def list_applications(request: Request[None]) -> Answer[answers.Found]:
    """List all applications, sorted by id."""
    applications = sorted(request.services.applications.all(), key=lambda each: each.id)
    items = [application.public_document() for application in applications]
    return Answer(200, answers.Found(data=Items(items=items)))


@_section.route(
    "GET",
    "/admin/applications/{id}",
    answers={200: answers.Object},
    errors=(ApplicationNotFound,),
)
async def get(request: Request[None]) -> Answer[answers.Object]:
    """Get an application, without its secrets."""
    application = request.services.applications.get(request.path["id"])
    return Answer(200, answers.Object(data=application.public_document()))


@_section.route(
    "PUT",
    "/admin/applications/{id}",
    body=dict[str, Any],
    answers={200: answers.Object},
    errors=(ApplicationNotFound, ServiceUnavailable, VersionConflict),
)
async def replace(request: Request[dict[str, Any]]) -> Answer[answers.Object]:
    """Replace the given top-level keys; secrets that are left out are kept."""
    application = await request.services.applications.replace(request.path["id"], request.body)
    return Answer(200, answers.Object(data=application.public_document()))


@_section.route(
    "DELETE",
    "/admin/applications/{id}",
    answers={200: answers.Done},
    errors=(ApplicationNotFound, ServiceUnavailable, VersionConflict),
)
async def delete(request: Request[None]) -> Answer[answers.Done]:
    """Delete an application with all its data."""
    await request.services.applications.delete(request.path["id"])
    return Answer(200, answers.Done(message="application deleted"))


@_section.route(
    "GET",
    "/admin/applications/{id}/users",
    answers={200: answers.Found},
    errors=(ApplicationNotFound, ServiceUnavailable),
    parameters=(
        Parameter(
            "limit",
            "query",
            "The most users to return.",
            {"type": "integer", "minimum": 1, "maximum": _MAX_USERS, "default": 100},
        ),
        Parameter(
            "offset",
            "query",
            "The number of users to skip.",
            {"type": "integer", "minimum": 0, "maximum": _MANY, "default": 0},
        ),
    ),
)
async def list_users(request: Request[None]) -> Answer[answers.Found]:
    """List an application's users, oldest first."""
    services = request.services
    users = await services.accounts.users.list(
        services.applications.get(request.path["id"]),
        limit=request.integer("limit", 100, low=1, high=_MAX_USERS),
        offset=request.integer("offset", 0, low=0, high=_MANY),
    )
    return Answer(200, answers.Found(data=Items(items=users)))


@_section.route(
    "PUT",
    "/admin/applications/{id}/users/{userId}",
    body=UserChange,
    answers={200: answers.Object},
    errors=(ApplicationNotFound, NotFound, InvalidAuthMethod, ServiceUnavailable),
)
async def change_user(request: Request[UserChange]) -> Answer[answers.Object]:
    """Change a user's type, or disable or enable the user."""
    services = request.services
    user = await services.accounts.users.administer(
        services.applications.get(request.path["id"]),
        request.path["userId"],
        user_type=request.body.user_type,
        disabled=request.body.disabled,
    )
    return Answer(200, answers.Object(data=user))


@_section.route(
    "DELETE",
    "/admin/applications/{id}/users/{userId}",
    answers={200: answers.Done},
    errors=(ApplicationNotFound, NotFound, InvalidAuthMethod, ServiceUnavailable),
)
async def delete_user(request: Request[None]) -> Answer[answers.Done]:
    """Delete a user with the user's sessions and devices; the user's objects are kept."""
    services = request.services
    application = services.applications.get(request.path["id"])
    await services.accounts.users.delete(application, request.path["userId"])
    return Answer(200, answers.Done(message="user deleted"))
