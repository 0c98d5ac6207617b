"""A whole server with a push service, and devices that are connected or away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from frames_wire import Frames, Lines
from push_service import PushPlugin, RecordingPushService
from waiting import eventually

from nexxus import Config, Nexxus
from nexxus.interfaces.push_service import PushMessage

ADMIN_KEY = "an-admin-key-for-tests-only"


APP = "notes"


RULE = {
    "title": "{title}",
    "body": "by {author.name}",
    "on": ["created", "updated", "deleted"],
    "quiet": 0,
    "collapse": "note-{id}",
}


APPLICATION = {
    "id": APP,
    "schema": {
        "note": {
            "title": {"type": "string"},
            "points": {"type": "int", "filterable": True},
            "author": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        "log": {"text": {"type": "string"}},
    },
    "push": {"note": RULE},
}


class Device:
    """A client with a session of its own, connected or not."""

    def __init__(self, world: World, answer: dict[str, Any]) -> None:
        self._world = world
        self.id = answer["device"]["id"]
        self.token = answer["token"]
        self.refresh_token = answer["refreshToken"]
        self.wire = Frames()
        self.connection: Any = None

    async def request(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self._world.http.request(method, path, json=body, headers=headers)

    async def put_push(self, push: Any = None) -> httpx2.Response:
        default = {"service": "recording", "token": self.id}
        return await self.request("PUT", "/device", {"push": push or default})

    async def subscribe(self, model: str = "note", **more: Any) -> dict[str, Any]:
        answer = await self.request("POST", "/subscription/", {"model": model, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]  # type: ignore[no-any-return]

    async def describe(self) -> dict[str, Any]:
        return (await self.request("GET", "/device")).json()  # type: ignore[no-any-return]

    async def connect(self, *, resume: str | None = None, wire: Frames | None = None) -> None:
        self.wire = wire or Frames()
        gateway = self._world.nexxus.transports.gateways["websockets"]
        self.connection = gateway.accept(self.wire, Lines())
        self.wire.on_close = self.connection.lost
        await self.connection.request("register", {"token": self.token})
        if resume is not None:
            await self.connection.request("resume", {"cursor": resume})

    def drop(self) -> None:
        """Lose the connection."""
        self.connection.lost()

    async def is_away(self) -> bool:
        presence = await self._world.nexxus.registry.presence.get(APP, self.id)
        return presence is None

    @property
    def pushes(self) -> list[PushMessage]:
        """What it was pushed."""
        return self._world.service.messages(self.id)


class World:
    """A server with a push service."""

    def __init__(self, nexxus: Nexxus, http: httpx2.AsyncClient, service: Any) -> None:
        self.nexxus = nexxus
        self.http = http
        self.service: RecordingPushService = service

    async def device(self, *, is_persistent: bool = True) -> Device:
        answer = await self.http.post("/device/register", json={"name": "phone"})
        device = Device(self, answer.json())
        if is_persistent:
            put = await device.put_push()
            assert put.status_code == 200, put.text
        return device

    async def write(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body, headers={"prefer": "wait=10"})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["data"]

    async def create(self, **fields: Any) -> Any:
        return await self.write("POST", "/model/note", {"title": "New", **fields})

    async def end_quiet_time(self, *, notices: int) -> None:
        """Let an hour pass for the schedule, once so many notices wait."""
        pushes: Any = self.nexxus.registry.pushes

        async def are_there() -> bool:
            return bool(await pushes.waiting() == notices)

        await eventually(are_there)
        pushes._clock = lambda: time.time() + 3600

    async def put_application(self, **changes: Any) -> None:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        path = f"/admin/applications/{APP}"
        answer = await self.http.put(path, json=changes, headers=headers)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def serving(
    data_dir: Path, *, application: Any = APPLICATION, **push: Any
) -> AsyncIterator[World]:
    plugin = PushPlugin()
    settings = {
        "server": {"data_dir": str(data_dir)},
        "admin": {"key": ADMIN_KEY},
        "auth": {"time_cost": 1, "memory_cost": 8},
        "logger": {"level": "critical"},
        "gateway": {"resume_grace": 0.2},
        "push": {"services": ["recording"], **push},
        "applications": [application],
    }
    async with (
        Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(nexxus.app),
            base_url="http://nexxus",
            headers={"nxx-app-id": APP},
        ) as http,
    ):
        yield World(nexxus, http, plugin.service)
