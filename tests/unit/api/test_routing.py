"""From a method and a path to an endpoint."""

from __future__ import annotations

import pytest

from nexxus.api.endpoints import Endpoint
from nexxus.api.routes import ENDPOINTS
from nexxus.api.routing import Router
from nexxus.errors import MethodNotAllowed, NotFound

ROUTER = Router(ENDPOINTS)


@pytest.mark.parametrize(
    ("method", "path", "pattern", "parameters"),
    [
        ("GET", "/", "/", {}),
        ("GET", "", "/", {}),
        ("POST", "/model", "/model", {}),
        ("POST", "/model/", "/model", {}),
        ("POST", "/model/task", "/model/{type}", {"type": "task"}),
        ("POST", "/model/count", "/model/count", {}),
        ("GET", "/model/task/search", "/model/{type}/{id}", {"type": "task", "id": "search"}),
        ("POST", "/model/task/search/", "/model/{type}/search", {"type": "task"}),
        ("GET", "/auth/google/callback", "/auth/{strategy}/callback", {"strategy": "google"}),
        ("POST", "/auth/local", "/auth/local", {}),
        ("POST", "/auth/ldap", "/auth/{strategy}", {"strategy": "ldap"}),
        ("HEAD", "/device", "/device", {}),
    ],
)
def test_a_path_finds_its_endpoint(
    method: str, path: str, pattern: str, parameters: dict[str, str]
) -> None:
    endpoint, found = ROUTER.match(method, path)
    assert (endpoint.path, found) == (pattern, parameters)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_a_trailing_slash_does_not_change_a_path(endpoint: Endpoint) -> None:
    path = endpoint.path.replace("{", "").replace("}", "")
    method = endpoint.method
    assert ROUTER.match(method, path) == ROUTER.match(method, f"{path.rstrip('/')}/")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/model//", "/model//x", "/model/a/b/c", "/model/task//"],
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        ROUTER.match("DELETE", path)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/device", ("GET", "HEAD", "PUT")),
        ("GET", "/auth/refresh", ("POST",)),
        ("GET", "/model/count", ("POST",)),
        ("POST", "/model/task/x", ("DELETE", "GET", "HEAD", "PUT")),
    ],
)
def test_a_wrong_method_is_answered_with_the_supported_ones(
    method: str, path: str, allow: tuple[str, ...]
) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.match(method, path)
    assert caught.value.allow == allow
