"""A whole server on a port of ours, whose devices follow server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
from event_source import EventSource

from nexxus.server import Nexxus

ADMIN_KEY = "an-admin-key-for-tests-only-0123456789"


APPLICATION: dict[str, Any] = {
    "id": "open",
    "session": {"jwtExpiresIn": 3600},
    "schema": {
        "task": {"title": {"type": "string", "filterable": True}, "text": {"type": "string"}}
    },
}


class Device:
    """A device of the application, over HTTP and server-sent events."""

    def __init__(self, site: Site, session: dict[str, Any]) -> None:
        self.site = site
        self.token: str = session["token"]
        self.refresh_token: str = session["refreshToken"]
        self.headers = {"nxx-app-id": "open", "authorization": f"Bearer {self.token}"}

    async def ticket(self) -> str:
        answer = await self.site.http.post("/auth/ticket", headers=self.headers)
        return answer.json()["ticket"]  # type: ignore[no-any-return]

    async def follow(self, **options: Any) -> EventSource:
        """A stream by the token; `last` is the id of the last event of a former one."""
        headers = dict(self.headers)
        if "last" in options:
            headers["last-event-id"] = options.pop("last")
        source = await EventSource.open(self.site.port, options, headers)
        self.site.sources.append(source)
        return source

    async def subscribe(self, **descriptor: Any) -> Any:
        body = {"model": "task", **descriptor}
        answer = await self.site.http.post("/subscription/", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def log_out(self) -> None:
        body = {"refreshToken": self.refresh_token}
        await self.site.http.post("/auth/logout", json=body, headers=self.headers)


class Site:
    """A whole server on a port of ours."""

    def __init__(self, nexxus: Nexxus, port: int) -> None:
        self.nexxus = nexxus
        self.port = port
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self.sources: list[EventSource] = []

    async def device(self) -> Device:
        answer = await self.http.post(
            "/device/register", json={"name": "d"}, headers={"nxx-app-id": "open"}
        )
        return Device(self, answer.json())

    async def write(self, id: str, **fields: Any) -> None:
        answer = await self.http.post(
            "/model/task",
            json={"id": id, **fields},
            headers={"nxx-app-id": "open", "prefer": "wait=10"},
        )
        assert answer.status_code == 201, answer.text

    @property
    def connections(self) -> int:
        return self.nexxus.transports.gateways["sse"].figures.connections


Start = Callable[..., Any]
