"""``/openapi.json``: the endpoints and their bodies as OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from nexxus.api import answers
from nexxus.api.endpoints import Admission, Endpoint, Parameter
from nexxus.errors import (
    ApplicationNotFound,
    InvalidParameters,
    NoAuthPresent,
    PayloadTooLarge,
    ServerError,
    ServiceUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
    UserAuthenticationFailed,
    UserTokenExpired,
    WireError,
)
from nexxus.interfaces.mounts import Authentication, HttpMount

_MEDIA_TYPES: Final = ("application/json", "application/msgpack")
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{name}"
_APP_ID: Final = Parameter(
    "nxx-app-id", "header", "The application.", {"type": "string", "minLength": 1}, required=True
)
_TRANSPORTS: Final = "Transports"
_TOKEN_ERRORS: Final = (NoAuthPresent, UserTokenExpired, UserAuthenticationFailed)


def describe(
    endpoints: Iterable[Endpoint], *, version: str, mounts: Iterable[HttpMount] = ()
) -> dict[str, Any]:
    """Return the OpenAPI document of these endpoints, and of what transports serve beside them."""
    shown = [endpoint for endpoint in endpoints if endpoint.documented]
    schemas, components = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    templates: dict[str, str] = {}
    for endpoint in shown:
        # To OpenAPI, templates that differ only in names are the same path; the first one is used.
        template = templates.setdefault(_PATH_PARAMETER.sub("{}", endpoint.path), endpoint.path)
        operation = _operation(endpoint, template, schemas)
        paths.setdefault(template, {})[endpoint.method.lower()] = operation
    tags = dict.fromkeys(endpoint.tag for endpoint in shown)
    for mount in mounts:
        tags[_TRANSPORTS] = None
        for method in mount.methods:
            operation = _mount_operation(mount, method, schemas)
            paths.setdefault(mount.path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nexxus",
            "version": version,
            "summary": "Real-time synchronization for event-driven applications.",
            "license": {"name": "MPL-2.0", "identifier": "MPL-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "adminKey": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the JSON Schema of each type in use, and the named schemas that they refer to."""
    types: list[Any] = [answers.ErrorBody]
    for endpoint in endpoints:
        types += [endpoint.body, *endpoint.answers.values()]
    distinct = list(dict.fromkeys(each for each in types if each is not None))
    schemas, components = msgspec.json.schema_components(distinct, ref_template=_REF)
    return dict(zip(distinct, schemas, strict=True)), components


def _operation(endpoint: Endpoint, template: str, schemas: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint.method, endpoint.path),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [_parameter(each) for each in _parameters(endpoint, template)],
        "responses": _responses(endpoint, schemas),
    }
    security = _security(endpoint)
    if security is not None:
        operation["security"] = security
    if endpoint.body is not None:
        schema = schemas[endpoint.body]
        operation["requestBody"] = {
            "required": not _may_be_empty(endpoint.body),
            "content": {media_type: {"schema": schema} for media_type in _MEDIA_TYPES},
        }
    return operation


def _mount_operation(mount: HttpMount, method: str, schemas: dict[Any, Any]) -> dict[str, Any]:
    """The operation of a mount: what all of them have, and what the transport adds."""
    is_authenticated = mount.authentication is not Authentication.NONE
    errors: list[type[WireError]] = [InvalidParameters, ServiceUnavailable, ServerError]
    if is_authenticated:
        errors += [*_TOKEN_ERRORS, ApplicationNotFound]
    if mount.limited:
        errors.append(TooManyRequests)
    own = dict(mount.openapi or {})
    responses = {"200": {"description": HTTPStatus.OK.phrase}, **own.pop("responses", {})}
    operation: dict[str, Any] = {
        "operationId": _operation_id(method, mount.path),
        "summary": mount.summary,
        "tags": [_TRANSPORTS],
        "responses": {**responses, **_error_responses(errors, schemas)},
    }
    if is_authenticated:
        operation["security"] = [{"token": []}, {}]  # or a ticket
    return {**operation, **own}


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"\w+", path) or ["root"]
    return method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _parameters(endpoint: Endpoint, template: str) -> list[Parameter]:
    names = zip(
        _PATH_PARAMETER.findall(template), _PATH_PARAMETER.findall(endpoint.path), strict=True
    )
    found = [
        Parameter(
            name,
            "path",
            "" if name == meant else f"The {meant}.",
            {"type": "string", "minLength": 1},
            required=True,
        )
        for name, meant in names
    ]
    if endpoint.app_id_in_query:
        found.append(msgspec.structs.replace(_APP_ID, required=False))
    elif endpoint.access not in (Admission.PUBLIC, Admission.ADMIN):
        found.append(_APP_ID)
    return [*found, *endpoint.parameters]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    if parameter.description:
        described["description"] = parameter.description
    return described


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]] | None:
    match endpoint.access:
        case Admission.ADMIN:
            return [{"adminKey": []}]
        case Admission.DEVICE:
            return [{"token": []}]
        case Admission.MODELS | Admission.USERS:
            return [{"token": []}, {}]
        case _:
            return None


def _responses(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in endpoint.answers.items():
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            response["content"] = {
                media_type: {"schema": schemas[kind]} for media_type in _MEDIA_TYPES
            }
        elif endpoint.media_type != "application/json":
            response["content"] = {endpoint.media_type: {"schema": {"type": "string"}}}
        responses[str(status)] = response
    return {**responses, **_error_responses(_errors(endpoint), schemas)}


def _error_responses(errors: Iterable[type[WireError]], schemas: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    by_status: dict[int, list[str]] = {}
    for error in errors:
        names = by_status.setdefault(error.status, [])
        if error.name not in names:
            names.append(error.name)
    for status, names in sorted(by_status.items()):
        responses[str(status)] = {
            "description": ", ".join(names),
            "content": {
                media_type: {"schema": schemas[answers.ErrorBody]} for media_type in _MEDIA_TYPES
            },
        }
    return responses


def _errors(endpoint: Endpoint) -> list[type[WireError]]:
    errors: list[type[WireError]] = [*endpoint.errors, ServerError]
    if endpoint.limited:
        errors.append(TooManyRequests)
    if endpoint.access is Admission.ADMIN:
        errors += [NoAuthPresent, UserAuthenticationFailed]
    elif endpoint.access is not Admission.PUBLIC:
        errors += [InvalidParameters, ApplicationNotFound, ServiceUnavailable]
        if endpoint.access is not Admission.APPLICATION:
            errors += _TOKEN_ERRORS
    if endpoint.body is not None:
        errors += [InvalidParameters, PayloadTooLarge, UnsupportedMediaType]
    if endpoint.parameters:
        errors.append(InvalidParameters)
    return errors


def _may_be_empty(body: Any) -> bool:
    """Return whether a request may have no body, because no key is required."""
    if not (isinstance(body, type) and issubclass(body, msgspec.Struct)):
        return False
    return not any(field.required for field in msgspec.structs.fields(body))
