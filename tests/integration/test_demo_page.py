"""The departures board in a real browser: it follows the server, filters, and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import pytest_asyncio
from browser import browser
from server import Endpoint, Server
from waiting import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]
# A fixture, found here by pytest.

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN = "[...document.querySelectorAll('#rows tr:not(.leaving)')]"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    server = Server(tmp_path_factory.mktemp("demo"), "--demo")
    try:
        yield server.start().endpoint
        assert server.stop() == 0, server.log[-8000:]
    finally:
        server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def board(browser: Browser, demo: Endpoint) -> AsyncIterator[Page]:
    """The open board; afterwards it has had no error and has asked nobody but its server."""
    page = await open_board(browser, demo)
    yield page
    await page.close()
    assert page.complaints == [], page.complaints  # type: ignore[attr-defined]


async def open_board(browser: Browser, demo: Endpoint) -> Page:
    await eventually(lambda: stored(demo, origin="ORD"))
    page = await browser.new_page(reduced_motion="reduce")
    complaints: list[str] = []
    page.complaints = complaints  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(demo.url)
            else complaints.append(f"foreign request: {request.url}")
        ),
    )
    await page.goto(f"{demo.url}/demo/")
    await page.wait_for_selector("#rows tr")
    return page


async def rows(page: Page) -> list[list[Any]]:
    """What the board shows: flight, status and delay as read out to those who cannot see it."""
    text = "row.querySelector(`td.status .sr`).textContent"
    return await page.evaluate(f"{SHOWN}.map(row => [row.dataset.id, {text}])")  # type: ignore[no-any-return]


async def stored(demo: Endpoint, **flight_filter: Any) -> list[list[Any]]:
    """The same, from the server."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{demo.url}/model/flight/search",
            headers={"nxx-app-id": "demo"},
            json={"filter": flight_filter, "sort": ["scheduled"], "limit": 20},
        )
    assert answer.status_code == 200, answer.text
    return [[flight["id"], status(flight)] for flight in answer.json()["data"]["items"]]


def status(flight: dict[str, Any]) -> str:
    delay = flight["delay"]
    is_late = delay > (15 if flight["status"] == "departed" else 0)
    return f"{flight['status']} +{delay}" if is_late else flight["status"]


async def agrees(page: Page, demo: Endpoint, **flight_filter: Any) -> None:
    """Return when page and server show the same; the show goes on meanwhile."""

    async def same() -> bool:
        before = await stored(demo, **flight_filter)
        return bool(before) and before == await rows(page)

    await eventually(same)


async def test_the_board_shows_what_the_server_has(board: Page, demo: Endpoint) -> None:
    await agrees(board, demo, origin="ORD")


async def test_a_filter_of_the_board_is_a_filter_of_the_subscription(
    board: Page, demo: Endpoint
) -> None:
    await board.select_option("#airport", "")
    await board.select_option("#state", "boarding")
    await agrees(board, demo, status="boarding")
    await board.select_option("#state", "")
    await board.check("#late")
    await agrees(board, demo, delay={"gt": 15})


async def test_a_dropped_connection_comes_back_and_the_board_is_right(
    board: Page, demo: Endpoint
) -> None:
    await agrees(board, demo, origin="ORD")
    # Coming back may take less time than asking the page.
    await board.evaluate(
        """() => {
            window.seen = [];
            const status = document.querySelector("#status");
            new MutationObserver(() => seen.push(status.dataset.status))
                .observe(status, {attributes: true});
        }"""
    )
    for _ in range(2):
        await board.evaluate("() => { seen = []; }")
        await board.click("#drop")
        await board.wait_for_function(
            "() => seen.some(status => status !== 'live') && seen.at(-1) === 'live'"
        )
        await agrees(board, demo, origin="ORD")


async def test_what_one_board_does_another_shows(
    board: Page, browser: Browser, demo: Endpoint
) -> None:
    # The last in the schedule has the longest life ahead; its delay stays until it departs.
    other = await open_board(browser, demo)
    flight = await board.evaluate(
        f"{SHOWN}.filter(row => row.dataset.status === 'scheduled').at(-1).dataset.id"
    )
    await board.click(f"tr[data-id={flight}] button")
    await other.wait_for_selector(f"tr[data-id={flight}][data-status=delayed]")
    await other.close()


async def test_the_page_measures_the_way_from_a_write_to_its_event(board: Page) -> None:
    for meter in ("latency", "rate", "total", "count"):
        figure = f"parseFloat(document.getElementById('{meter}').textContent) || 0"
        await eventually(lambda figure=figure: board.evaluate(figure))


async def test_the_board_outlives_a_killed_server(browser: Browser, tmp_path: Path) -> None:
    server = Server(tmp_path, "--demo")
    try:
        page = await open_board(browser, server.start().endpoint)
        server.kill()
        await page.wait_for_selector("#status:not([data-status=live])")
        server.start()
        await page.wait_for_selector("#status[data-status=live]")
        await agrees(page, server.endpoint, origin="ORD")
    finally:
        server.close()
