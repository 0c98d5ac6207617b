"""What a process tells of itself, on whichever of its ports."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from nexxus.adapters.redis.registry import RedisFigures
from nexxus.config import Config
from nexxus.domain.events import Event
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.broker import Received, worker_group
from nexxus.interfaces.push_service import Push, PushOutcome, PushService, Sent
from nexxus.interfaces.worker import Worker
from nexxus.observability.figures import described
from nexxus.server import Nexxus

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


class Idle(Worker):
    async def handle(self, events: Sequence[Event]) -> None:
        return


class Silent(PushService):
    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        return dict(address)

    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        return [Sent() for _ in pushes]


class Plugin:
    @hookimpl
    def nexxus_push_services(self) -> list[Adapter[Any, PushService]]:
        return [Adapter("silent", None, lambda *_: Silent(), interface=1)]

    @hookimpl
    def nexxus_workers(self) -> list[Adapter[Any, Worker]]:
        return [Adapter("idle", None, lambda *_: Idle(), interface=1)]


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    settings = {
        "server": {"data_dir": str(tmp_path), "workers": ["idle"]},
        "push": {"services": ["silent"]},
        "logger": {"level": "critical"},
        "applications": [
            {"id": "notes", "name": "Notes", "schema": {"note": {"text": {"type": "string"}}}}
        ],
    }
    async with Nexxus(Config.from_mapping(settings, plugins=[Plugin()])) as nexxus:
        yield nexxus


def client_of(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://nexxus")


async def scrape(app: ASGIApp) -> str:
    async with client_of(app) as client:
        return (await client.get("/metrics")).text


async def value_of(app: ASGIApp, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(await scrape(app))
    samples = [sample for family in families for sample in family.samples]
    (value,) = (s.value for s in samples if s.name == name and labels.items() <= s.labels.items())
    return value


async def test_every_port_tells_of_the_requests_to_all(nexxus: Nexxus) -> None:
    async with client_of(nexxus.app) as api, client_of(nexxus.health_app) as health:
        assert (await api.get("/admin/applications")).status_code == 401
        assert (await health.get("/healthz")).status_code == 200
    for app in (nexxus.app, nexxus.health_app):
        name = "nexxus_http_requests_total"
        assert await value_of(app, name, route="/admin/applications", status="401") == 1
        assert await value_of(app, name, route="/healthz", status="200") == 1


async def test_the_documentation_lists_every_figure_and_no_other(nexxus: Nexxus) -> None:
    told = set(re.findall(r"^# TYPE (\S+) ", await scrape(nexxus.app), re.MULTILINE))
    redis = {f"nexxus_registry_redis_{name}" for name in described(RedisFigures)}
    listed = set(re.findall(r"^\| `(\w+)` \|", OPERATIONS.read_text(), re.MULTILINE))
    figures = {name for name in listed if name.startswith(("nexxus_", "process_"))}
    assert figures == told | redis


async def test_a_write_is_measured_wherever_it_passes(nexxus: Nexxus) -> None:
    async with client_of(nexxus.app) as api:
        headers = {"nxx-app-id": "notes", "prefer": "wait=20"}
        response = await api.post("/model/note", json={"text": "x"}, headers=headers)
        assert response.status_code == 201, response.text
    for name, labels in (
        ("nexxus_writer_applied_total", {}),
        ("nexxus_broker_call_duration_seconds_count", {"call": "publish"}),
        ("nexxus_database_call_duration_seconds_count", {"call": "commit"}),
    ):
        assert await value_of(nexxus.app, name, **labels) >= 1
    assert await value_of(nexxus.app, "nexxus_broker_waiting", group="writer") == 0


async def test_dead_letters_are_counted_by_their_group(nexxus: Nexxus) -> None:
    group = worker_group("idle")
    assert await value_of(nexxus.app, "nexxus_dead_letters", group=group.name) == 0
    for key in ("a", "b"):
        await nexxus.parts.dead_letters.bury(group, Received(key, {}), "spoilt", attempts=1)
    assert await value_of(nexxus.app, "nexxus_dead_letters", group=group.name) == 2
    assert await value_of(nexxus.app, "nexxus_dead_letters", group="writer") == 0
