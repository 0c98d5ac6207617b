"""The browser client's channel: what it makes of events that are late, repeated or missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from browser import browser

from nexxus.demo.site import STATIC

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]
# A fixture, found here by pytest.

pytestmark = pytest.mark.asyncio(loop_scope="module")

Play = Callable[..., Coroutine[Any, Any, dict[str, Any]]]

PLAY = """
async ({ page, events, stored }) => {
  const { Channel } = await import("http://client.test/nexxus.js");
  const reads = [];
  const client = {
    call: async (event, data) => {
      reads.push(data);
      return { items: stored ? [stored] : [] };
    },
  };
  const channel = new Channel(client, { model: "task", filter: { status: "open" }, limit: 10 });
  channel.load(page);
  for (const event of events) channel.apply(event);
  await new Promise((done) => setTimeout(done));
  return { objects: [...channel.objects.values()], reads };
}
"""


TWO_READINGS = """
async ({ before, between, pages }) => {
  const sent = [];
  let socket;
  globalThis.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() {
      socket = this;
      setTimeout(() => this.onopen());
    }
    send(text) {
      sent.push(JSON.parse(text));
    }
    close() {}
  };
  const { Nexxus } = await import("http://client.test/nexxus.js");
  const turns = () => new Promise((done) => setTimeout(done, 10));
  const say = (event, data, ref) =>
    socket.onmessage({ data: JSON.stringify({ event, ref, data }) });
  const answer = (number, items) => {
    const { ref } = sent.filter(({ event }) => event === "subscribe")[number];
    say("reply", { status: 200, data: { channelId: "c", items } }, ref);
  };
  const tell = (event) => say(event.event, { ...event, metadata: { channels: ["c"] } });

  const token = `x.${btoa(JSON.stringify({ exp: Date.now() / 1000 + 3600 }))}.x`;
  const nexxus = new Nexxus({ appId: "a", session: { token }, socketUrl: "ws://client.test/" });
  const starting = nexxus.start();
  await turns();
  say("register", { success: true, cursor: "1" });
  await starting;
  const subscribing = nexxus.subscribe({ model: "task" });
  answer(0, []);
  const channel = await subscribing;

  say("resync", { channels: ["c"], cursor: "2" });
  before.forEach(tell);
  say("resync", { channels: ["c"], cursor: "3" });
  between.forEach(tell);
  for (const [number, page] of pages) {
    answer(number, page);
    await turns();
  }
  nexxus.stop();
  return [...channel.objects.values()];
}
"""
"""A channel is read anew twice: events before and between the two askings, then the answers."""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A browser's page that can load the client."""
    script = (STATIC / "nexxus.js").read_text()
    page = await browser.new_page()

    async def serve(route: Any) -> None:
        is_script = route.request.url.endswith(".js")
        await route.fulfill(
            body=script if is_script else "<!doctype html>",
            content_type="text/javascript" if is_script else "text/html",
        )

    await page.route("http://client.test/**", serve)
    await page.goto("http://client.test/")
    yield page
    await page.close()


@pytest.fixture
def play(page: Page) -> Play:
    """Gives a channel a page and then events; what it holds in the end, and what it has read."""

    async def run(
        *events: dict[str, Any], page_items: list[Any], stored: Any = None
    ) -> dict[str, Any]:
        given = {"page": page_items, "events": events, "stored": stored}
        return await page.evaluate(PLAY, given)  # type: ignore[no-any-return]

    return run


def task(version: int, **fields: Any) -> dict[str, Any]:
    return {"id": "t", "type": "task", "version": version, "status": "open", **fields}


def created(version: int, **fields: Any) -> dict[str, Any]:
    return {"event": "model_created", "model": task(version, **fields)}


def updated(version: int, **patch: Any) -> dict[str, Any]:
    model = {"id": "t", "type": "task", "version": version}
    return {"event": "model_updated", "model": model, "patches": [patch]}


def deleted(version: int, reason: str = "deleted") -> dict[str, Any]:
    model = {"id": "t", "type": "task", "version": version}
    return {"event": "model_deleted", "model": model, "reason": reason}


async def test_patches_of_the_next_version_are_applied(play: Play) -> None:
    ended = await play(
        updated(2, op="replace", path=["title", "place.city"], value=["Milk", "Cluj"]),
        updated(3, op="incr", path=["points"], value=[2]),
        updated(4, op="decr", path=["points"], value=[1]),
        updated(5, op="append", path=["tags", "title"], value=[["b", "c"], "!"]),
        updated(6, op="prepend", path=["tags"], value=["a"]),
        updated(7, op="remove", path=["status"]),
        page_items=[task(1, points=1, tags=[])],
    )
    expected = task(7, title="Milk!", place={"city": "Cluj"}, points=2, tags=["a", "b", "c"])
    del expected["status"]
    assert ended == {"objects": [expected], "reads": []}


async def test_what_is_not_newer_is_ignored(play: Play) -> None:
    ended = await play(
        updated(3, op="replace", path=["title"], value=["old"]),
        created(2, title="older"),
        deleted(3, "left"),
        page_items=[task(3, title="new")],
    )
    assert ended == {"objects": [task(3, title="new")], "reads": []}


async def test_a_gap_is_read_through_the_channel(play: Play) -> None:
    ended = await play(
        updated(4, op="replace", path=["title"], value=["later"]),
        page_items=[task(1)],
        stored=task(4, title="later"),
    )
    assert ended["objects"] == [task(4, title="later")]
    assert ended["reads"] == [
        {"model": "task", "filter": {"$and": [{"status": "open"}, {"id": "t"}]}, "getOnly": True}
    ]


async def test_what_is_read_and_not_there_is_not_in_the_view(play: Play) -> None:
    ended = await play(
        updated(4, op="replace", path=["title"], value=["later"]), page_items=[task(1)]
    )
    assert ended["objects"] == []


async def test_a_repeated_event_does_not_bring_back_what_has_left(play: Play) -> None:
    ended = await play(deleted(5, "left"), created(4), deleted(5, "left"), page_items=[task(3)])
    assert ended["objects"] == []


async def test_what_is_created_anew_counts_on(play: Play) -> None:
    ended = await play(deleted(5), created(6, title="again"), page_items=[task(4)])
    assert ended["objects"] == [task(6, title="again")]


async def test_denied_is_obeyed_whatever_its_version(play: Play) -> None:
    ended = await play(deleted(2, "denied"), page_items=[task(3)])
    assert ended["objects"] == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_of_two_readings_the_later_one_counts_and_what_came_since(
    page: Any, order: tuple[int, int]
) -> None:
    other = {"event": "model_created", "model": {**task(1), "id": "other"}}
    pages = {1: [], 2: [task(2)]}
    ended = await page.evaluate(
        TWO_READINGS,
        {
            "before": [deleted(2, "denied")],
            "between": [other],
            "pages": [(number, pages[number]) for number in order],
        },
    )
    assert ended == [task(2), other["model"]]
