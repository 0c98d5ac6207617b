"""What every route has in common: bodies, formats, errors, limits, identity."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import strategies as st


def error(response: httpx2.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) - {"details"} == {"error", "message", "requestId"}
    assert response.headers["x-request-id"] == body["requestId"]
    return response.status_code, body["error"]


async def test_a_body_without_a_content_type_is_json(client: httpx2.AsyncClient) -> None:
    response = await client.post("/model/task", content=b'{"title": "a"}')
    assert response.status_code == 202


@pytest.mark.contract("1. Tenancy and headers", "X-Request-Id is echoed")
async def test_a_sane_request_id_is_kept_and_another_is_not(client: httpx2.AsyncClient) -> None:
    kept = await client.get("/nothing", headers={"x-request-id": "mine-1"})
    assert kept.json()["requestId"] == "mine-1"
    replaced = await client.get("/nothing", headers={"x-request-id": "a b" * 100})
    assert replaced.json()["requestId"] != "a b" * 100


async def test_a_head_is_a_get_without_its_body(client: httpx2.AsyncClient) -> None:
    response = await client.head("/healthz")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


async def test_options_tells_what_a_route_takes(client: httpx2.AsyncClient) -> None:
    response = await client.options("/subscription")
    assert response.status_code == 200
    assert response.headers["allow"] == "DELETE, OPTIONS, POST"


@pytest.mark.contract(
    "1. Tenancy and headers", "configured origins, and no others, may call and open WebSockets"
)
async def test_pages_elsewhere_may_call_when_their_origin_is_configured(start: Any) -> None:
    origin = {"Origin": "https://app.example"}
    preflight = {**origin, "Access-Control-Request-Method": "PUT"}
    async with start(api={"cors_origins": ["https://app.example"]}) as client:
        asked = await client.options("/model/task/x", headers=preflight)
        assert asked.headers["access-control-allow-origin"] == "https://app.example"
        answered = await client.get("/nothing", headers=origin)
        assert answered.headers["access-control-allow-origin"] == "https://app.example"
        assert "nxx-operation-id" in answered.headers["access-control-expose-headers"]
        other = await client.get("/nothing", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_token_of_another_scheme_is_none(client: httpx2.AsyncClient) -> None:
    basic = {"Authorization": "Basic abc"}
    assert error(await client.get("/device", headers=basic)) == (401, "NoAuthPresentException")
    assert (await client.get("/model/task/x", headers=basic)).status_code == 404


async def test_a_bad_token_is_refused_even_where_none_is_needed(client: httpx2.AsyncClient) -> None:
    bad = {"Authorization": "Bearer nonsense"}
    expected = (401, "UserAuthenticationFailedException")
    assert error(await client.get("/model/task/x", headers=bad)) == expected


async def test_an_unexpected_error_is_told_to_the_log_only(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr("nexxus.objects.reads.Reads.get", broken)
    response = await client.get("/model/task/x")
    assert error(response) == (500, "ServerErrorException")
    assert "secret" not in response.text


async def test_the_api_can_be_mounted_in_another_application(
    client: httpx2.AsyncClient,
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    api = client._transport.app  # type: ignore[attr-defined]
    outer = httpx2.ASGITransport(Starlette(routes=[Mount("/sync", api)]))
    async with httpx2.AsyncClient(transport=outer, base_url="http://outer") as mounted:
        assert (await mounted.get("/sync/healthz")).status_code == 200
        page = await mounted.get("/sync/docs")
        assert '<base href="/sync/">' in page.text
        assert (await mounted.get("/sync/static/pages.css")).status_code == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3)
    ),
    max_leaves=12,
)
words = st.sampled_from(
    ["model", "type", "id", "userId", "filter", "limit", "offset", "sort", "patch", "ifVersion",
     "title", "points", "cursor", "name", "username", "password", "refreshToken", "device", "$and"]
)  # fmt: skip
bodies = st.binary(max_size=60) | st.dictionaries(
    words | st.text(max_size=4), json_values | st.just("task"), max_size=5
).map(lambda value: msgspec.json.encode(value))
routes = st.sampled_from(
    [("POST", "/model"), ("POST", "/model/task"), ("POST", "/model/cursor"),
     ("PUT", "/model/task/x"), ("PUT", "/model/x"), ("DELETE", "/model/task/x"),
     ("DELETE", "/model/x"), ("POST", "/model/count"), ("POST", "/model/task/search"),
     ("POST", "/subscription"), ("DELETE", "/subscription"), ("POST", "/device/register"),
     ("PUT", "/device"), ("POST", "/user/register"), ("POST", "/auth/local"),
     ("POST", "/auth/refresh"), ("POST", "/auth/logout"), ("POST", "/auth/google"),
     ("PUT", "/user")]
)  # fmt: skip
