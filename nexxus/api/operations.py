"""Operations: the state of writes."""

from __future__ import annotations

from msgspec import UNSET

from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import NotFound

_section = RouteSection("Models", access=Admission.MODELS)
ENDPOINTS = _section.endpoints


@_section.route("GET", "/operation/{id}", answers={200: answers.OperationState}, errors=(NotFound,))
async def get(request: Request[None]) -> Answer[answers.OperationState]:
    """Get the state of one of your writes from the last 24 h."""
    fate = await request.services.writes.fate(request.identity, request.path["id"])
    shown = answers.OperationFate(
        id=fate.operation_id,
        state=fate.state,
        version=UNSET if fate.version is None else fate.version,
        error=UNSET if fate.error is None else fate.error,
    )
    return Answer(200, answers.OperationState(data=shown))
