"""Models: writing and reading objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from nexxus.api import answers
from nexxus.api.endpoints import Admission, H, Parameter, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Headers
from nexxus.errors import (
    AccessDenied,
    InvalidParameters,
    ModelNotFound,
    ServiceUnavailable,
    VersionConflict,
)
from nexxus.objects.replies import Created, QueuedOperation, Reply, StoredReply
from nexxus.objects.requests import (
    CountRequest,
    DeleteRequest,
    SearchRequest,
    UpdateRequest,
)

CreateAnswer: TypeAlias = Answer[answers.CreateAccepted] | Answer[answers.Stored]
WriteAnswer: TypeAlias = Answer[answers.WriteAccepted] | Answer[answers.Stored]

_section = RouteSection("Models", access=Admission.MODELS)
ENDPOINTS = _section.endpoints

_IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "A write with the same key is applied only once within 24 h.",
    {"type": "string", "minLength": 1, "maxLength": 255},
)
_PREFER: Final = Parameter(
    "Prefer",
    "header",
    "wait=<seconds>: respond once the write is stored.",
    {"type": "string", "examples": ["wait=5"]},
)
_TERMS: Final = (_IDEMPOTENCY_KEY, _PREFER)
_TYPE: Final = Parameter("type", "query", "The name of the model.", {"type": "string"})
_IF_VERSION: Final = Parameter(
    "ifVersion",
    "query",
    "The version that the object must have.",
    {"type": "integer", "minimum": 0, "maximum": 2**53},
)
_WRITE_ERRORS: Final = (AccessDenied, ModelNotFound, VersionConflict, ServiceUnavailable)
_READ_ERRORS: Final = (AccessDenied, ModelNotFound, ServiceUnavailable)


@_section.route(
    "POST",
    "/model",
    body=dict[str, Any],
    answers={202: answers.CreateAccepted, 201: answers.Stored},
    errors=_WRITE_ERRORS,
    parameters=_TERMS,
)
async def create(request: Request[dict[str, Any]]) -> CreateAnswer:
    """Create an object; the body has its fields, and its model as type."""
    reply = await request.services.requests.create(
        request.identity, None, request.body, request.terms()
    )
    return _created(reply)


@_section.route(
    "POST",
    "/model/{type}",
    body=dict[str, Any],
    answers={202: answers.CreateAccepted, 201: answers.Stored},
    errors=_WRITE_ERRORS,
    parameters=_TERMS,
)
async def create_typed(request: Request[dict[str, Any]]) -> CreateAnswer:
    """Create an object; the body has its fields."""
    reply = await request.services.requests.create(
        request.identity, request.path["type"], request.body, request.terms()
    )
    return _created(reply)


@_section.route(
    "PUT",
    "/model/{type}/{id}",
    "/model/{id}",
    body=UpdateRequest,
    answers={202: answers.WriteAccepted, 200: answers.Stored},
    errors=_WRITE_ERRORS,
    parameters=_TERMS,
)
async def update(request: Request[UpdateRequest]) -> WriteAnswer:
    """Patch an object."""
    wanted = msgspec.structs.replace(
        request.body,
        type=_agreed(request, "type", request.body.type),
        id=_agreed(request, "id", request.body.id),
    )
    reply = await request.services.requests.update(request.identity, wanted, request.terms())
    return _changed(reply, "update")


def _deletes(path: str, *parameters: Parameter) -> Callable[[H], H]:
    return _section.route(
        "DELETE",
        path,
        body=DeleteRequest,
        answers={202: answers.WriteAccepted, 200: answers.Stored},
        errors=_WRITE_ERRORS,
        parameters=(*_TERMS, *parameters),
    )


@_deletes("/model/{type}/{id}", _IF_VERSION)
@_deletes("/model/{id}", _TYPE, _IF_VERSION)
async def delete(request: Request[DeleteRequest]) -> WriteAnswer:
    """Delete an object."""
    model = _agreed(request, "type", request.body.type)
    version = request.body.if_version
    if version is None and "ifVersion" in request.query:
        version = request.integer("ifVersion", 0, low=0, high=2**53)
    wanted = DeleteRequest(
        type=request.query.get("type") if model is None else model,
        id=_agreed(request, "id", request.body.id),
        if_version=version,
    )
    reply = await request.services.requests.delete(request.identity, wanted, request.terms())
    return _changed(reply, "delete")


@_section.route("GET", "/model/{type}/{id}", answers={200: answers.Object}, errors=_READ_ERRORS)
async def get(request: Request[None]) -> Answer[answers.Object]:
    """Get an object."""
    return await _get(request, request.path["type"])


@_section.route(
    "GET",
    "/model/{id}",
    answers={200: answers.Object},
    errors=_READ_ERRORS,
    parameters=(msgspec.structs.replace(_TYPE, required=True),),
)
async def get_untyped(request: Request[None]) -> Answer[answers.Object]:
    """Get an object; the query names its model."""
    model = request.query.get("type")
    if not model:
        raise InvalidParameters(
            "type: name the model in the query, as in ?type=task",
            {"field": "type", "rule": "required"},
        )
    return await _get(request, model)


@_section.route(
    "POST",
    "/model/count",
    body=CountRequest,
    answers={200: answers.Counted},
    errors=_READ_ERRORS,
)
async def count(request: Request[CountRequest]) -> Answer[answers.Counted]:
    """Count objects."""
    count = await request.services.requests.count(request.identity, request.body)
    return Answer(200, answers.Counted(data=count))


@_section.route(
    "POST",
    "/model/{type}/search",
    body=SearchRequest,
    answers={200: answers.Found},
    errors=_READ_ERRORS,
)
async def search(request: Request[SearchRequest]) -> Answer[answers.Found]:
    """Query objects, page by page."""
    items = await request.services.requests.search(
        request.identity, request.path["type"], request.body
    )
    return Answer(200, answers.Found(data=items))


async def _get(request: Request[None], model: str) -> Answer[answers.Object]:
    document = await request.services.reads.get(request.identity, model, request.path["id"])
    return Answer(200, answers.Object(data=document))


def _agreed(request: Request[Any], name: str, given: str | None) -> str | None:
    """Return the value from the path, or from the body if the path has none.

    Raises `InvalidParameters` if both have one and they differ.
    """
    named = request.path.get(name)
    if named is None:
        return given
    if given is not None and given != named:
        raise InvalidParameters(
            f"{name}: is {given!r} in the body but {named!r} in the path", {"field": name}
        )
    return named


def _created(reply: Reply[Created] | StoredReply) -> CreateAnswer:
    if isinstance(reply, StoredReply):
        return _stored(reply, "created")
    accepted = answers.CreateAccepted(message="create accepted", data=reply.data)
    return Answer(202, accepted, _naming(reply.operation_id))


def _changed(reply: Reply[QueuedOperation] | StoredReply, what: str) -> WriteAnswer:
    if isinstance(reply, StoredReply):
        return _stored(reply, f"{what}d")
    accepted = answers.WriteAccepted(message=f"{what} accepted", data=reply.data)
    return Answer(202, accepted, _naming(reply.operation_id))


def _stored(reply: StoredReply, done: str) -> Answer[answers.Stored]:
    stored = answers.Stored(message=done, data=reply.document)
    return Answer(reply.status, stored, _naming(reply.operation_id))


def _naming(operation_id: str) -> Headers:
    """The header that names the operation of a write; none of a transient create."""
    return ((b"nxx-operation-id", operation_id.encode()),) if operation_id else ()
