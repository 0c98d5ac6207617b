"""Replays the timeline on a server, through its public HTTP API and at a steady rate."""

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
"""Writes per second, once the board is full."""

_OPENING_RATE: Final = 200.0
"""Writes per second until then: nobody wants to watch an empty board."""

_LANES: Final = 4
_LANE_DEPTH: Final = 16
_RETRY_DELAY: Final = 0.5
_HEADERS: Final = {"nxx-app-id": APP_ID}


async def replay(
    api_url: str, admin_key: str, *, rate: float = RATE, seed: int = SEED, window: int = WINDOW
) -> None:
    """Create the application `demo` and let its flights come and go until cancelled.

    `api_url` is the API's address, `rate` in writes per second. Flights left over from an
    earlier run are taken off first. A server that is away for a while is waited for.
    """
    async with open_http(api_url) as http:
        await ensure_application(http, admin_key)
        await _clear(http, "flight")
        await _clear(http, "probe")
        await _pace(http, timeline(load_flights(), seed=seed, window=window), rate, window)


def open_http(api_url: str) -> httpx2.AsyncClient:
    """A client of the API, without a proxy between: it is our own server."""
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
    """Hand each write at its time to its flight's lane, so that a flight's writes stay in order.

    Lanes are bounded: a server that falls behind slows the show down instead of piling it up.
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
        # The key makes a second attempt after a lost answer harmless.
        headers = {**_HEADERS, "Idempotency-Key": key}
        while not await _accepted(http, write, headers):  # noqa: ASYNC110  (a back-off)
            await asyncio.sleep(_RETRY_DELAY)


async def _accepted(http: httpx2.AsyncClient, write: FlightWrite, headers: dict[str, str]) -> bool:
    """Whether the server has answered for good: only its absence is worth another attempt."""
    target = "/model/flight" if write.method == "POST" else f"/model/flight/{write.flight.id}"
    body: dict[str, Any] = {} if write.body is None else {"json": write.body}
    try:
        answer = await http.request(write.method, target, headers=headers, **body)
    except httpx2.TransportError:
        return False
    return answer.status_code < 500 and answer.status_code != httpx2.codes.TOO_MANY_REQUESTS
