"""Contract §1: applications, formats, limits and errors."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest
from client import Admin, NexxusClient, assert_error, error_body, replace
from documents import open_application

contract = partial(pytest.mark.contract, "1. Tenancy and headers")


ROUTES = [
    ("POST", "/user/register", {"username": "a", "password": "b"}),
    ("POST", "/auth/local", {"username": "a", "password": "b"}),
    ("POST", "/auth/refresh", {"refreshToken": "x"}),
    ("POST", "/auth/logout", {"refreshToken": "x"}),
    ("GET", "/user/me", None),
    ("PUT", "/user/", {"patch": {"op": "replace", "path": "username", "value": "x"}}),
    ("POST", "/device/register", {"name": "x"}),
    ("GET", "/device", None),
    ("PUT", "/device", {"name": "x"}),
    ("GET", "/device/list", None),
    ("POST", "/model/task", {"title": "x"}),
    ("POST", "/model/", {"type": "task", "title": "x"}),
    ("GET", "/model/task/x", None),
    ("GET", "/model/x?type=task", None),
    ("PUT", "/model/task/x", {"patch": replace(title="y")}),
    ("DELETE", "/model/task/x", None),
    ("POST", "/model/count", {"type": "task"}),
    ("POST", "/model/task/search", {}),
    ("GET", "/operation/x", None),
    ("POST", "/subscription/", {"model": "task"}),
    ("DELETE", "/subscription/", {"model": "task"}),
]


@contract("the application's header is required")
@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_a_request_without_an_application_is_refused(
    client: NexxusClient, method: str, path: str, body: Any
) -> None:
    await client.refused(method, path, body, "nxx-app-id", headers={"nxx-app-id": None})


@contract("the application's header is required")
@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_an_unknown_application_is_not_found(
    client: NexxusClient, method: str, path: str, body: Any
) -> None:
    await client.refused(
        method,
        path,
        body,
        status=404,
        error="ApplicationNotFoundException",
        headers={"nxx-app-id": "no-such-application", "Authorization": None},
    )


@contract("descriptions of the server need no application")
@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_routes_that_describe_the_server_need_no_application(
    client: NexxusClient, path: str
) -> None:
    response = await client.send("GET", path, headers={"nxx-app-id": None}, authorized=False)

    assert response.status_code == 200, response.text


@contract("a token belongs to one application")
async def test_a_token_of_another_application_is_refused(
    client: NexxusClient, admin: Admin, new_client: Any
) -> None:
    other = new_client(admin.create(open_application()))
    other.token = client.token

    await other.refused("GET", "/device", status=401, error="UserAuthenticationFailedException")


@contract("tenants are isolated")
async def test_another_tenants_objects_are_not_found(
    client: NexxusClient, admin: Admin, new_client: Any
) -> None:
    task = await client.create("task", title="mine")
    other = await new_client(admin.create(open_application())).register_device()

    assert await other.search("task") == []
    assert await other.count("task") == 0
    await other.refused(
        "GET", f"/model/task/{task['id']}", status=404, error="ModelNotFoundException"
    )
    response = await other.write("DELETE", f"/model/task/{task['id']}")
    assert_error(response, 404, "ModelNotFoundException")
    assert await client.get("task", task["id"]) == task


@contract("tenants are isolated")
async def test_the_same_id_is_a_different_object_in_another_application(
    client: NexxusClient, admin: Admin, new_client: Any
) -> None:
    other = await new_client(admin.create(open_application())).register_device()
    await client.create("task", id="twin", title="mine")
    theirs = await other.create("task", id="twin", title="theirs")

    await client.update("task", "twin", replace(title="still mine"))

    assert await other.get("task", "twin") == theirs


@contract("tenants are isolated")
async def test_another_tenants_operations_are_not_found(
    client: NexxusClient, admin: Admin, new_client: Any
) -> None:
    written = await client.create("task", title="x", wait=False)
    other = await new_client(admin.create(open_application())).register_device()

    await other.refused(
        "GET", f"/operation/{written['operationId']}", status=404, error="NotFoundException"
    )


@contract("the device is a claim in the token")
async def test_a_device_header_is_ignored(client: NexxusClient, app: Any, new_client: Any) -> None:
    other = await new_client(app).register_device("another")

    device = await client.ok("GET", "/device", headers={"nxx-device-id": other.device_id or ""})

    assert device["id"] == client.device_id


@contract("JSON in and out")
async def test_answers_are_json(client: NexxusClient) -> None:
    response = await client.send("POST", "/model/task/search", {})

    assert response.headers["content-type"].split(";")[0] == "application/json"


@contract("JSON in and out")
async def test_a_body_of_another_type_is_refused(client: NexxusClient) -> None:
    await client.refused(
        "POST",
        "/model/task",
        {"title": "x"},
        status=415,
        error="UnsupportedMediaTypeException",
        headers={"Content-Type": "text/xml"},
    )


@contract("JSON in and out")
@pytest.mark.parametrize("content", [b"{", b"", b"[]", b'"text"', b"null", b"\xff\xfe", b"{'a':1}"])
async def test_anything_but_a_json_object_is_refused(client: NexxusClient, content: bytes) -> None:
    response = await client.send(
        "POST", "/model/task", headers={"Content-Type": "application/json"}, content=content
    )

    assert_error(response, 400, "InvalidParametersException")


@contract("MessagePack in and out")
async def test_messagepack_is_accepted_and_returned(client: NexxusClient) -> None:
    kind = "application/msgpack"
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": kind, "Accept": kind, "Prefer": "wait=20"},
        content=msgspec.msgpack.encode({"title": "packed", "points": 3}),
    )

    assert response.status_code == 201
    assert response.headers["content-type"].split(";")[0] == kind
    task = msgspec.msgpack.decode(response.content)["data"]
    assert await client.get("task", task["id"]) == task


@contract("MessagePack in and out")
async def test_an_error_is_messagepack_if_that_is_accepted(client: NexxusClient) -> None:
    kind = "application/msgpack"
    response = await client.send("GET", "/model/task/nobody", headers={"Accept": kind})

    assert response.status_code == 404
    assert response.headers["content-type"].split(";")[0] == kind
    assert msgspec.msgpack.decode(response.content)["error"] == "ModelNotFoundException"


@contract("MessagePack in and out")
async def test_broken_messagepack_is_refused(client: NexxusClient) -> None:
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": "application/msgpack"},
        content=b"\xc1\xc1",
    )

    assert_error(response, 400, "InvalidParametersException")


@contract("a trailing slash changes nothing")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/device", None),
        ("GET", "/device/list", None),
        ("PUT", "/device", {"name": "renamed"}),
        ("POST", "/model/count", {"type": "task"}),
        ("POST", "/model/task/search", {}),
        ("POST", "/subscription", {"model": "task", "getOnly": True}),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
    ],
)
async def test_a_route_answers_with_and_without_a_trailing_slash(
    signed: Any, new_client: Any, method: str, path: str, body: Any
) -> None:
    client = await new_client(signed).register_user(f"slash{method}{path}{body}"[:60])

    plain = await client.send(method, path, body)
    slashed = await client.send(method, path + "/", body)

    assert plain.status_code == slashed.status_code == 200, (plain.text, slashed.text)
    assert plain.json() == slashed.json()


@contract("unknown keys are named, unknown parameters are ignored")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/subscription/", {"model": "task", "filtr": {"points": 1}}),
        ("DELETE", "/subscription/", {"model": "task", "filtr": {"points": 1}}),
        ("POST", "/model/task/search", {"filtr": {"points": 1}}),
        ("POST", "/model/count", {"type": "task", "filtr": {"points": 1}}),
        ("PUT", "/model/task/x", {"patch": replace(points=1), "filtr": 1}),
        ("DELETE", "/model/task/x", {"filtr": 1}),
        ("POST", "/device/register", {"name": "x", "filtr": 1}),
        ("PUT", "/device", {"name": "x", "filtr": 1}),
        ("POST", "/auth/refresh", {"refreshToken": "x", "filtr": 1}),
        ("POST", "/auth/logout", {"refreshToken": "x", "filtr": 1}),
    ],
)
async def test_a_key_that_a_body_does_not_define_is_named(
    client: NexxusClient, method: str, path: str, body: Any
) -> None:
    await client.refused(method, path, body, "filtr")


@contract("unknown keys are named, unknown parameters are ignored")
async def test_a_key_that_a_sign_in_does_not_define_is_named(signed: Any, new_client: Any) -> None:
    client = new_client(signed)

    body = {"username": "a", "password": "b", "devise": {}}
    await client.refused("POST", "/auth/local", body, "devise")
    await client.refused("POST", "/user/register", body, "devise")
    body = {"username": "a", "password": "b", "device": {"nam": "x"}}
    await client.refused("POST", "/auth/local", body, "nam")


@contract("unknown keys are named, unknown parameters are ignored")
async def test_an_unknown_query_parameter_is_ignored(client: NexxusClient) -> None:
    await client.ok("GET", "/device?utm_source=mail")
    await client.ok("POST", "/model/task/search?filter=nonsense", {})


@contract("errors have one shape")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/model"),
        ("POST", "/nowhere/at/all/on/this/server"),
        ("GET", "/%00"),
        ("GET", "/user/../admin/%2e%2e"),
        ("PATCH", "/model/task/x"),
        ("PROPFIND", "/device"),
    ],
)
async def test_even_an_unknown_route_returns_the_standard_error(
    client: NexxusClient, method: str, path: str
) -> None:
    response = await client.send(method, path)

    body = error_body(response)
    assert (response.status_code, body["error"]) in {
        (404, "NotFoundException"),
        (405, "MethodNotAllowedException"),
        (400, "InvalidParametersException"),
    }


@contract("errors have one shape")
async def test_an_error_names_the_request_and_the_field(client: NexxusClient) -> None:
    first = await client.refused("POST", "/model/task", {"title": 1}, "title")
    second = await client.refused("POST", "/model/task", {"title": 1}, "title")

    assert first["requestId"] != second["requestId"]
    assert first["details"]["field"] == "title"
