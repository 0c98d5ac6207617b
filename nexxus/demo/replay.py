"""Replays the timeline on a server, through its public HTTP API, at a steady rate."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Iterator
from typing import Any, Final

import httpx2

from nexxus.demo.application import APP_ID, ensure_application
from nexxus.demo.timeline import SEED, WINDOW, FlightWrite, load_flights, timeline

RATE: Final = 40.0
"""Writes per second once the board is full."""

_OPENING_RATE: Final = 200.0
"""Writes per second until then, so that the board fills quickly."""

_LANES: Final = 4
_LANE_DEPTH: Final = 16
_RETRY_DELAY: Final = 0.5
_HEADERS: Final = {"nxx-app-id": APP_ID}


async def replay(
    api_url: str, admin_key: str, *, rate: float = RATE, seed: int = SEED, window: int = WINDOW
) -> None:
    """Create the application `demo` and replay its flights until cancelled.

    `api_url` is the API's address; `rate` is in writes per second. Flights from an earlier run are
    deleted first. While the server is unavailable, writes are retried.
    """
    async with open_http(api_url) as http:
        await ensure_application(http, admin_key)
        await _clear(http, "flight")
        await _clear(http, "probe")
        await _pace(http, timeline(load_flights(), seed=seed, window=window), rate, window)


def open_http(api_url: str) -> httpx2.AsyncClient:
    """Return a client of the API that uses no proxy, because the server is local."""
    return httpx2.AsyncClient(base_url=api_url, timeout=httpx2.Timeout(30), trust_env=False)


async def _clear(http: httpx2.AsyncClient, model: str) -> None:
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": 1000, **cursor}
        answer = await http.post(f"/model/{model}/search", json=query, headers=_HEADERS)
        answer.raise_for_status()
        page = answer.json()["data"]
        for item in page["items"]:
            gone = await http.delete(f"/model/{model}/{item['id']}", headers=_HEADERS)
            gone.raise_for_status()
        if "cursor" not in page:
            return
        cursor = {"cursor": page["cursor"]}


async def _pace(
    http: httpx2.AsyncClient, writes: Iterator[FlightWrite], rate: float, full: int
) -> None:
    """Put each write into its flight's lane on time, so that a flight's writes stay in order.

    Lanes are bounded, so a slow server slows down the replay instead of building up a backlog.
    """
    lanes: list[asyncio.Queue[tuple[str, FlightWrite]]] = [
        asyncio.Queue(_LANE_DEPTH) for _ in range(_LANES)
    ]
    run = uuid.uuid4().hex
    clock = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(_send(http, lane))
        due = clock.time()
        for number, write in zip(itertools.count(), writes):
            await lanes[int(write.flight.id[2:]) % _LANES].put((f"{run}-{number}", write))
            due = max(due + 1 / (_OPENING_RATE if number < full else rate), clock.time() - 1)
            await asyncio.sleep(due - clock.time())


async def _send(http: httpx2.AsyncClient, lane: asyncio.Queue[tuple[str, FlightWrite]]) -> None:
    while True:
        key, write = await lane.get()
        # The key makes a retry after a lost response harmless.
        headers = {**_HEADERS, "Idempotency-Key": key}
        while not await _accepted(http, write, headers):  # noqa: ASYNC110  (a back-off)
            await asyncio.sleep(_RETRY_DELAY)


async def _accepted(http: httpx2.AsyncClient, write: FlightWrite, headers: dict[str, str]) -> bool:
    """Send a write; return False if it should be retried, because the server is unavailable."""
    target = "/model/flight" if write.method == "POST" else f"/model/flight/{write.flight.id}"
    body: dict[str, Any] = {} if write.body is None else {"json": write.body}
    try:
        answer = await http.request(write.method, target, headers=headers, **body)
    except httpx2.TransportError:
        return False
    return answer.status_code < 500 and answer.status_code != httpx2.codes.TOO_MANY_REQUESTS
