"""Contract §8: the names of those errors that other sections do not cover."""

from __future__ import annotations

from functools import partial

import pytest
from client import NexxusClient, assert_error

contract = partial(pytest.mark.contract, "8. Error names")


@contract("405 with the allowed methods")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/device", {"GET", "PUT"}),
        ("PATCH", "/model/task/x", {"GET", "PUT", "DELETE"}),
        ("GET", "/subscription/", {"POST", "DELETE"}),
        ("GET", "/model/task/search/", None),
        ("POST", "/healthz", {"GET"}),
    ],
)
async def test_an_unsupported_method_is_not_allowed(
    client: NexxusClient, method: str, path: str, allowed: set[str] | None
) -> None:
    response = await client.send(method, path)

    if allowed is None:  # also the object whose id is "search"
        assert response.status_code in (404, 405)
        return
    assert_error(response, 405, "MethodNotAllowedException")
    listed = {name.strip() for name in response.headers["allow"].split(",")}
    assert allowed <= listed
    assert method not in listed


@contract("404 for unknown paths")
@pytest.mark.parametrize("path", ["/nowhere", "/device/x/y", "/operation", "/wp-admin.php"])
async def test_an_unknown_path_is_not_found(client: NexxusClient, path: str) -> None:
    assert_error(await client.send("GET", path), 404, "NotFoundException")


@contract("415 for unsupported media types")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_an_unsupported_media_type_is_refused(client: NexxusClient, kind: str) -> None:
    await client.refused(
        "POST",
        "/model/task/search",
        {},
        status=415,
        error="UnsupportedMediaTypeException",
        headers={"Content-Type": kind},
    )


@contract("a request has an id")
async def test_every_response_and_error_has_the_requests_id(
    client: NexxusClient,
) -> None:
    bodies = [
        assert_error(await client.send("GET", "/nowhere"), 404, "NotFoundException")
        for _ in range(3)
    ]

    assert len({body["requestId"] for body in bodies}) == 3
