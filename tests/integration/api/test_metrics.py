"""What a process tells of itself, on whichever of its ports."""

from __future__ import annotations

from pathlib import Path

import httpx
from starlette.types import ASGIApp

from nexxus.config import Config
from nexxus.server import Nexxus


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nexxus")


async def test_every_port_tells_of_the_requests_to_all(tmp_path: Path) -> None:
    settings = {"server": {"data_dir": str(tmp_path)}, "logger": {"level": "critical"}}
    async with (
        Nexxus(Config.from_mapping(settings)) as nexxus,
        client_of(nexxus.app) as api,
        client_of(nexxus.health_app) as health,
    ):
        assert (await api.get("/admin/applications")).status_code == 401
        assert (await health.get("/healthz")).status_code == 200

        for port in (api, health):
            told = (await port.get("/metrics")).text
            refused = 'method="GET",route="/admin/applications",status="401"'
            assert f"nexxus_http_requests_total{{{refused}}} 1" in told
            assert (
                'nexxus_http_requests_total{method="GET",route="/healthz",status="200"} 1' in told
            )
