"""Administration of dead letters, with the admin key."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from nexxus.api import answers
from nexxus.api.endpoints import Admission, Parameter, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import InvalidParameters, NotFound, ServiceUnavailable
from nexxus.objects.replies import Count

_section = RouteSection("Administration", access=Admission.ADMIN)
ENDPOINTS = _section.endpoints

_MAX_LIMIT: Final = 10_000


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The selected dead letters."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=_MAX_LIMIT, description="Their ids.")]


@_section.route(
    "GET",
    "/admin/dead-letters",
    answers={200: answers.DeadLetterList},
    errors=(ServiceUnavailable,),
    parameters=(
        Parameter("queue", "query", "Only letters of this queue.", {"type": "string"}),
        Parameter(
            "limit",
            "query",
            "The most letters to return.",
            {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 100},
        ),
    ),
)
async def list_dead_letters(request: Request[None]) -> Answer[answers.DeadLetterList]:
    """List dead letters (messages that could not be processed), oldest first."""
    letters = await request.services.dead_letters.list(
        queue=request.query.get("queue"),
        limit=request.integer("limit", 100, low=1, high=_MAX_LIMIT),
    )
    return Answer(200, answers.DeadLetterList(data=answers.DeadLetterItems(items=letters)))


@_section.route(
    "GET",
    "/admin/dead-letters/{id}",
    answers={200: answers.OneDeadLetter},
    errors=(NotFound, ServiceUnavailable),
)
async def get_dead_letter(request: Request[None]) -> Answer[answers.OneDeadLetter]:
    """Get a dead letter with its payload."""
    letter = await request.services.dead_letters.get(request.path["id"])
    if letter is None:
        raise NotFound(f"there is no dead letter {request.path['id']}")
    return Answer(200, answers.OneDeadLetter(data=letter))


@_section.route(
    "POST",
    "/admin/dead-letters/replay",
    body=Chosen,
    answers={200: answers.Counted},
    errors=(InvalidParameters, ServiceUnavailable),
)
async def replay_dead_letters(request: Request[Chosen]) -> Answer[answers.Counted]:
    """Deliver dead letters again, behind the messages already waiting, and return their number."""
    count = await request.services.dead_letters.replay(request.body.ids)
    return Answer(200, answers.Counted(data=Count(count=count)))


@_section.route(
    "POST",
    "/admin/dead-letters/discard",
    body=Chosen,
    answers={200: answers.Counted},
    errors=(ServiceUnavailable,),
)
async def discard_dead_letters(request: Request[Chosen]) -> Answer[answers.Counted]:
    """Delete dead letters permanently, and return their number."""
    count = await request.services.dead_letters.discard(request.body.ids)
    return Answer(200, answers.Counted(data=Count(count=count)))
