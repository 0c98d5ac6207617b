"""Pages and descriptions, as a browser and a program get them."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest


async def test_pages_refer_only_to_what_is_served_here(client: httpx2.AsyncClient) -> None:
    browser = {"Accept": "text/html"}
    for path in ("/", "/docs", "/docs/", "/admin/", "/admin"):
        response = await client.get(path, headers=browser)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["content-security-policy"]
        for target in re.findall(r'(?:href|src)="([^"#{]*)"', response.text):
            assert "//" not in target, target
            if target and not target.startswith("data:"):
                assert (await client.get(f"/{target.removeprefix('/')}")).status_code == 200, target


async def test_only_the_pages_own_files_are_served(client: httpx2.AsyncClient) -> None:
    for name in ("dashboard.html", "..%2fapp.py", "nothing.js"):
        assert (await client.get(f"/static/{name}")).status_code == 404


async def test_the_description_can_be_switched_off(start: Any) -> None:
    async with start(api={"docs": False}) as client:
        for path in ("/docs", "/openapi.json", "/asyncapi.json"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/admin/")).status_code == 200


@pytest.mark.contract("1. Tenancy and headers", "Strict-Transport-Security under TLS")
async def test_strict_transport_security_is_for_tls_only(client: httpx2.AsyncClient) -> None:
    plain = await client.get("http://nexxus/healthz")
    assert "strict-transport-security" not in plain.headers
    over_tls = await client.get("https://nexxus/healthz")
    assert over_tls.headers["strict-transport-security"].startswith("max-age=")
