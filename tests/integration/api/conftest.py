"""Whole servers in this process, called without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nexxus.config import Config
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.worker import Worker
from nexxus.server import Nexxus

ADMIN_KEY = "an-admin-key-for-tests-only"
APPLICATION: dict[str, Any] = {
    "id": "open",
    "schema": {
        "task": {"title": {"type": "string", "filterable": True}, "points": {"type": "int"}},
        "cursor": {"fields": {"x": {"type": "int"}}, "transient": True},
    },
}
SIGNED: dict[str, Any] = {**APPLICATION, "id": "signed", "auth": {"strategies": {"local": {}}}}

Start = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a server with settings of its own; a client of its application ``open``."""

    @asynccontextmanager
    async def started(**sections: Any) -> AsyncIterator[httpx2.AsyncClient]:
        settings = {
            "server": {"data_dir": str(tmp_path)},
            "admin": {"key": ADMIN_KEY},
            "auth": {"time_cost": 1, "memory_cost": 8},
            "logger": {"level": "critical"},
            "applications": [APPLICATION, SIGNED],
            **sections,
        }
        async with Nexxus(Config.from_mapping(settings)) as nexxus:
            transport = httpx2.ASGITransport(nexxus.app, raise_app_exceptions=True)
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://nexxus", headers={"nxx-app-id": "open"}
            ) as client:
                yield client

    return started


@pytest.fixture
async def client(start: Start) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server with nothing configured."""
    async with start() as client:
        yield client


class Mail(Worker):
    """Never opened: what is sent to it stays where the test finds it."""

    async def open(self, context: Any) -> None:
        raise ServiceUnavailable("the mail server is away")

    async def handle(self, events: Any) -> None:
        raise AssertionError("it was not opened")


class MailPlugin:
    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("mail", None, lambda *_: Mail(), interface=1)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Nexxus]:
    """A server with the worker ``mail``, which is away."""
    settings = {
        "server": {"data_dir": str(tmp_path), "workers": ["mail"], "drain_timeout": 0.1},
        "admin": {"key": ADMIN_KEY},
        "logger": {"level": "critical"},
    }
    async with Nexxus(Config.from_mapping(settings, plugins=[MailPlugin()])) as nexxus:
        yield nexxus


@pytest.fixture
async def admin_http(server: Nexxus) -> AsyncIterator[httpx2.AsyncClient]:
    """The server's administration API."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(server.app),
        base_url="http://nexxus/admin",
        headers={"authorization": f"Bearer {ADMIN_KEY}"},
    ) as http:
        yield http
