"""Endpoints: what each route takes, does and returns, declared once.

The router, the dispatcher and ``/openapi.json`` use the same `Endpoint`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from types import SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from nexxus.api.responses import Answer, AnyAnswer, Raw
from nexxus.domain.decoding import Decoder
from nexxus.errors import WireError

if TYPE_CHECKING:
    from nexxus.api.requests import Request

Handler: TypeAlias = "Callable[[Request[Any]], Awaitable[AnyAnswer]]"
H = TypeVar("H", bound="Callable[[Request[Any]], Awaitable[AnyAnswer]]")


class Admission(Enum):
    """Who may use a route, and what a request must contain."""

    PUBLIC = auto()
    """Anyone, without an application."""
    APPLICATION = auto()
    """Anyone who names an application."""
    USERS = auto()
    """A token if the application has users; otherwise a token is ignored."""
    MODELS = auto()
    """A token if the application has users; otherwise a token is optional but must be valid."""
    DEVICE = auto()
    """A token."""
    ADMIN = auto()
    """The admin key."""


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter or header that a route reads; `schema` is its JSON Schema."""

    name: str
    place: str
    description: str
    schema: Mapping[str, Any]
    required: bool = False


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    `body` is the type of the request's body, None if it has none. `answers` maps each successful
    status to the type of the response's body, None for no body or one that is not JSON. Only
    `limited` endpoints are subject to the rate limit. With `app_id_in_query`, a browser may name
    the application as ``?appId=``.
    """

    method: str
    path: str
    handler: Handler
    access: Admission
    tag: str
    summary: str
    body: Any = None
    decoder: Decoder | None = None
    answers: Mapping[int, Any]
    errors: Sequence[type[WireError]] = ()
    parameters: Sequence[Parameter] = ()
    media_type: str = "application/json"
    documented: bool = True
    limited: bool = True
    app_id_in_query: bool = False


class RouteSection:
    """Collects the endpoints of one section of the contract, in the order of definition."""

    def __init__(self, tag: str, *, access: Admission) -> None:
        self.endpoints: list[Endpoint] = []
        self._tag = tag
        self._access = access

    def route(
        self,
        method: str,
        *paths: str,
        body: Any = None,
        answers: Mapping[int, Any],
        errors: Sequence[type[WireError]] = (),
        parameters: Sequence[Parameter] = (),
        access: Admission | None = None,
        media_type: str = "application/json",
        documented: bool = True,
        limited: bool = True,
        app_id_in_query: bool = False,
    ) -> Callable[[H], H]:
        """Make the decorated function the handler of `method` on `paths`.

        The first line of its docstring becomes the summary. Its return type says the same as
        `answers`, or a `TypeError` is raised: ``Answer[B]`` for each type of body, `Raw` for an
        answer that is not JSON.
        """

        def add(handler: H) -> H:
            _check_answers(handler, answers)
            summary = (handler.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            self.endpoints += [
                Endpoint(
                    method=method,
                    path=path,
                    handler=handler,
                    access=self._access if access is None else access,
                    tag=self._tag,
                    summary=summary,
                    body=body,
                    decoder=None if body is None else Decoder(body),
                    answers=answers,
                    errors=errors,
                    parameters=parameters,
                    media_type=media_type,
                    documented=documented,
                    limited=limited,
                    app_id_in_query=app_id_in_query,
                )
                for path in paths
            ]
            return handler

        return add


def _check_answers(handler: Callable[..., Any], declared: Mapping[int, Any]) -> None:
    # The return type alone: there are many handlers, and a start waits for this.
    hint = SimpleNamespace(__annotations__={"return": handler.__annotations__["return"]})
    returned = get_type_hints(hint, handler.__globals__)["return"]
    kinds = get_args(returned) if get_origin(returned) in (Union, UnionType) else (returned,)
    bodies = [get_args(kind)[0] for kind in kinds if get_origin(kind) is Answer]
    expected = [kind for kind in declared.values() if kind is not None]
    is_raw = Raw in kinds
    if (
        len(bodies) + is_raw != len(kinds)
        or any(body not in expected for body in bodies)
        or any(kind not in bodies for kind in expected)
        or (None in declared.values() and not is_raw)
    ):
        raise TypeError(
            f"{handler.__module__}.{handler.__name__} returns {returned}, but declares the answers "
            f"{dict(declared)}; let both say the same"
        )
