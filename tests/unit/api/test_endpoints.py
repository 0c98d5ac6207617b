"""A route is refused at its definition if its handler returns anything undeclared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.responses import Answer, Raw


async def done(_: Any) -> Answer[answers.Done]:
    """Is done."""
    return Answer(200, answers.Done(message="done"))


async def either(_: Any) -> Answer[answers.Done] | Answer[answers.Object]:
    return Answer(200, answers.Done(message="done"))


async def raw(_: Any) -> Raw:
    return Raw(200, b"", b"text/plain")


async def page_or_document(_: Any) -> Answer[answers.Done] | Raw:
    return Raw(200, b"", b"text/html")


async def untyped(_: Any) -> Any:
    return None


def route(handler: Any, declared: Mapping[int, Any]) -> RouteSection:
    section = RouteSection("Tests", access=Admission.PUBLIC)
    section.route("GET", "/", answers=declared)(handler)
    return section


@pytest.mark.parametrize(
    ("handler", "declared"),
    [
        (done, {200: answers.Done}),
        (either, {200: answers.Done, 201: answers.Object}),
        (raw, {200: None}),
        (page_or_document, {200: answers.Done}),
    ],
)
def test_a_handler_that_returns_what_is_declared_becomes_an_endpoint(
    handler: Any, declared: Mapping[int, Any]
) -> None:
    (endpoint,) = route(handler, declared).endpoints
    assert (endpoint.handler, endpoint.answers) == (handler, declared)


@pytest.mark.parametrize(
    ("handler", "declared"),
    [
        (done, {200: answers.Object}),
        (done, {200: answers.Done, 201: answers.Object}),
        (done, {200: None}),
        (either, {200: answers.Done}),
        (raw, {200: answers.Done}),
        (untyped, {200: answers.Done}),
    ],
)
def test_a_handler_that_returns_anything_else_is_refused(
    handler: Any, declared: Mapping[int, Any]
) -> None:
    with pytest.raises(TypeError, match=rf"{handler.__name__} returns .* let both say the same"):
        route(handler, declared)
