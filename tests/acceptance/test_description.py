"""Contract §7: health and description."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import httpx2
import pytest
from server import Endpoint

contract = partial(pytest.mark.contract, "7. Health and description")


async def get(endpoint: Endpoint, http: httpx2.AsyncClient, path: str, **headers: str) -> Any:
    response = await http.get(endpoint.url + path, headers=headers, follow_redirects=True)
    assert response.status_code == 200, (path, response.status_code, response.text)
    return response


@contract("the root names the server")
async def test_the_root_returns_the_version(endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
    body = (await get(endpoint, http, "/")).json()

    assert set(body) == {"message", "version"}
    assert re.match(r"\d+\.\d+", body["version"])


@contract("the root names the server")
async def test_a_browser_gets_a_page(endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
    response = await get(endpoint, http, "/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")

    assert response.headers["content-type"].startswith("text/html")
    assert "<html" in response.text.lower()


@contract("health")
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_running_server_is_healthy_and_ready(
    endpoint: Endpoint, http: httpx2.AsyncClient, path: str
) -> None:
    response = await get(endpoint, http, path)

    assert response.headers["content-type"].startswith("application/json")
    assert isinstance(response.json(), dict)


@contract("metrics")
async def test_the_metrics_are_in_prometheus_format(
    endpoint: Endpoint, http: httpx2.AsyncClient
) -> None:
    response = await get(endpoint, http, "/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE nexxus" in response.text
    for group in ("writer", "transport-manager"):
        assert f'\nnexxus_broker_waiting{{group="{group}"}} ' in response.text
    for line in response.text.splitlines():
        assert line == "" or line.startswith("#") or METRIC.fullmatch(line), line


METRIC = re.compile(
    r'[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})? '
    r"([+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN)( \d+)?"
)


@contract("descriptions for machines")
async def test_the_http_description_names_every_route(
    endpoint: Endpoint, http: httpx2.AsyncClient
) -> None:
    document = (await get(endpoint, http, "/openapi.json")).json()

    assert document["openapi"].startswith("3.")
    described = {re.sub(r"\{\w+\}", "{}", path).rstrip("/") or "/" for path in document["paths"]}
    for path in [
        *("/user/register", "/user/me", "/user", "/auth/local", "/auth/refresh", "/auth/logout"),
        *(
            "/auth/ticket",
            "/sse",
            "/device",
            "/device/register",
            "/device/list",
            "/subscription",
            "/operation/{}",
        ),
        *("/model/{}", "/model/{}/{}", "/model/{}/search", "/model/count"),
        *("/healthz", "/readyz", "/metrics", "/admin/applications", "/admin/applications/{}"),
        *("/admin/applications/{}/users", "/admin/applications/{}/users/{}"),
    ]:
        assert path in described, (path, sorted(described))


@contract("descriptions for machines")
async def test_the_socket_description_names_every_frame(
    endpoint: Endpoint, http: httpx2.AsyncClient
) -> None:
    response = await get(endpoint, http, "/asyncapi.json")

    assert response.json()["asyncapi"]
    for event in [
        *("register", "refresh_access_token", "resume", "resync", "reply", "error"),
        *("subscribe", "unsubscribe", "create", "update", "delete"),
        *("model_created", "model_updated", "model_deleted"),
        *("stream.subscribed", "stream.close"),
    ]:
        assert event in response.text, event


@contract("pages for humans")
@pytest.mark.parametrize("path", ["/docs", "/admin/"])
async def test_the_documentation_and_the_dashboard_are_pages(
    endpoint: Endpoint, http: httpx2.AsyncClient, path: str
) -> None:
    response = await get(endpoint, http, path, Accept="text/html")

    assert response.headers["content-type"].startswith("text/html")
    assert endpoint.admin_key not in response.text


@contract("pages for humans")
async def test_nothing_public_shows_a_secret(endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"):
        assert endpoint.admin_key not in json.dumps((await get(endpoint, http, path)).text)
