"""A browser's own ``EventSource``: it opens by a ticket, comes back by itself, and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from browser import browser
from client import Admin, NexxusClient
from documents import open_application
from ports import free_port
from server import Server
from tcp_proxy import TcpProxy
from waiting import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]
# A fixture, found here by pytest.

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.contract("11. Transports", "a browser's EventSource"),
]

ELSEWHERE = free_port()
ORIGIN = f"http://127.0.0.1:{ELSEWHERE}"
"""Of a page that is not the server's."""

OPEN = """
({ name, ticket, origin, credentials }) => {
  const query = new URLSearchParams({ ticket, subscribe: '{"model":"note"}' });
  const source = new EventSource(`${origin}/sse?${query}`, { withCredentials: credentials });
  const state = { source, seen: [], failures: 0 };
  (globalThis.states ??= {})[name] = state;
  const names = ["register", "resume", "resync", "subscribed", "close", "model_created"];
  for (const event of names) {
    source.addEventListener(event, ({ data, lastEventId }) =>
      state.seen.push({ event, data: JSON.parse(data), id: lastEventId }));
  }
  source.onerror = () => state.failures++;
}
"""
SEEN = "name => states[name].seen"
READY = "name => states[name].source.readyState"
FAILURES = "name => states[name].failures"
CONNECTING, OPENED, CLOSED = 0, 1, 2


class Tab:
    """A page with one ``EventSource``, reached through a network that may break."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._name = name

    async def open(self, ticket: str, origin: str = "", *, credentials: bool = False) -> None:
        given = {"ticket": ticket, "origin": origin, "credentials": credentials}
        await self._page.evaluate(OPEN, {"name": self._name, **given})

    async def state(self) -> int:
        return await self._page.evaluate(READY, self._name)  # type: ignore[no-any-return]

    async def failures(self) -> int:
        return await self._page.evaluate(FAILURES, self._name)  # type: ignore[no-any-return]

    async def seen(self, event: str) -> list[Any]:
        every = await self._page.evaluate(SEEN, self._name)
        return [each for each in every if each["event"] == event]

    async def has_seen(self, event: str, times: int = 1) -> list[Any]:
        async def find() -> list[Any]:
            found = await self.seen(event)
            return found if len(found) >= times else []

        return await eventually(find)  # type: ignore[no-any-return]

    async def is_closed(self) -> bool:
        return await self.state() == CLOSED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    settings = ("--set", "plugins.sse.retry=0.2", "--set", f'api.cors_origins=["{ORIGIN}"]')
    server = Server(folder, *settings)
    try:
        yield server.start()
        assert server.stop() == 0, server.log[-8000:]
    finally:
        server.close()


@pytest.fixture(scope="module")
def app(server: Server) -> Any:
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    return app


@pytest_asyncio.fixture(loop_scope="module")
async def network(server: Server) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.port) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server, app: Any) -> AsyncIterator[NexxusClient]:
    async with NexxusClient(server.endpoint, app["id"]) as client:
        yield await client.register_device()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, network: TcpProxy) -> AsyncIterator[Page]:
    """An empty page of the server's own origin."""
    page = await browser.new_page()
    await open_page(page, f"http://127.0.0.1:{network.port}")
    yield page
    await page.close()


async def open_page(page: Page, origin: str) -> None:
    async def serve(route: Any) -> None:
        await route.fulfill(body="<!doctype html>", content_type="text/html")

    await page.route(f"{origin}/page", serve)
    await page.goto(f"{origin}/page")


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/html\r\n\r\n<!doctype html>")
    writer.close()


async def ticket_of(client: NexxusClient) -> str:
    return (await client.ok("POST", "/auth/ticket"))["ticket"]  # type: ignore[no-any-return]


async def test_it_follows_a_channel(page: Page, client: NexxusClient) -> None:
    tab = Tab(page, "one")

    await tab.open(await ticket_of(client))

    (subscribed,) = await tab.has_seen("subscribed")
    note = await client.create("note", text="é")
    (created,) = await tab.has_seen("model_created")
    assert created["data"]["model"]["id"] == note["id"]
    assert created["data"]["metadata"]["channels"] == [subscribed["data"]["channelId"]]
    assert created["id"] == created["data"]["metadata"]["cursor"]
    assert (await tab.state(), await tab.failures()) == (OPENED, 0)


async def test_it_comes_back_by_itself_and_has_missed_nothing(
    page: Page, client: NexxusClient, network: TcpProxy
) -> None:
    tab = Tab(page, "one")
    await tab.open(await ticket_of(client))
    await tab.has_seen("subscribed")
    await client.create("note", text="before")
    await tab.has_seen("model_created")

    network.refuses = True
    network.reset()
    await eventually(tab.failures)
    missed = await client.create("note", text="missed")
    network.refuses = False

    await tab.has_seen("resume")
    assert (await tab.seen("model_created"))[1]["data"]["model"]["id"] == missed["id"]
    assert await tab.seen("resync") == []
    await tab.has_seen("subscribed", 2)
    assert await tab.state() == OPENED


async def test_it_stops_when_the_session_ends(page: Page, client: NexxusClient) -> None:
    tab = Tab(page, "one")
    await tab.open(await ticket_of(client))
    await tab.has_seen("subscribed")

    await client.ok("POST", "/auth/logout", {"refreshToken": client.refresh_token})

    (close,) = await tab.has_seen("close")
    assert close["data"] == {"code": 4001, "reason": "logged_out"}
    await eventually(tab.is_closed)
    assert len(await tab.seen("register")) == 1


async def test_of_two_for_one_device_the_later_one_stays(
    page: Page, client: NexxusClient, network: TcpProxy
) -> None:
    first, second = Tab(page, "first"), Tab(page, "second")
    await first.open(await ticket_of(client))
    await first.has_seen("subscribed")

    await second.open(await ticket_of(client))

    (close,) = await first.has_seen("close")
    assert close["data"] == {"code": 4003, "reason": "replaced"}
    await eventually(first.is_closed)
    await second.has_seen("subscribed")
    await client.create("note", text="x")
    await second.has_seen("model_created")
    network.reset()
    await second.has_seen("resume")
    assert await first.is_closed()


async def test_a_page_of_another_origin_that_is_named_follows_and_comes_back(
    browser: Browser, client: NexxusClient, network: TcpProxy
) -> None:
    # A browser lets no made-up page connect to this machine, so this one is real.
    site = await asyncio.start_server(serve_page, "127.0.0.1", ELSEWHERE)
    page = await browser.new_page()
    await page.goto(f"{ORIGIN}/page")
    tab = Tab(page, "one")

    await tab.open(await ticket_of(client), f"http://127.0.0.1:{network.port}", credentials=True)

    await tab.has_seen("subscribed")
    await client.create("note", text="x")
    await tab.has_seen("model_created")
    network.reset()
    await tab.has_seen("resume")
    await page.close()
    site.close()


async def test_a_used_ticket_opens_nothing(page: Page, client: NexxusClient) -> None:
    ticket = await ticket_of(client)
    first, second = Tab(page, "first"), Tab(page, "second")
    await first.open(ticket)
    await first.has_seen("subscribed")

    await second.open(ticket)

    await eventually(second.is_closed)
    assert await first.state() == OPENED
    assert await second.seen("register") == []
