"""Realistic use: 1,000 real flights are written while 200 subscribers with different filters watch.

The flights are those of the demo (`nexxus/demo/README.md`). The expected final view of each
subscriber is computed from the file alone.
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import json
import random
import time
from collections import Counter
from importlib import resources
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, unique
from oracle import matches
from server import Endpoint
from unmeasured_server import admin, endpoint
from view import Ledger, View
from waiting import eventually

__all__ = ["admin", "endpoint"]
# Fixtures that pytest finds in this module.

WRITERS = 6
SUBSCRIBERS = 200
BUILT_IN = {"type", "appId", "createdAt", "updatedAt"}

APPLICATION = {
    "name": "Departures",
    "maxLimit": 5000,
    "schema": {
        "flight": {
            "fields": {
                "date": {"type": "date", "filterable": True, "required": True},
                "delay": {"type": "int", "filterable": True},
                "distance": {"type": "int", "filterable": True},
                "origin": {"type": "string", "filterable": True},
                "destination": {"type": "string", "filterable": True},
                "remarks": {"type": "array", "arrayType": "string", "filterable": True},
            }
        }
    },
}


def flights() -> list[dict[str, Any]]:
    """Every other flight of the file, with an id; dates in ISO 8601 without a time zone."""
    text = resources.files("nexxus.demo").joinpath("flights-2k.json").read_text()
    rows: list[dict[str, Any]] = json.loads(text)[::2]
    for number, row in enumerate(rows):
        row["id"] = f"f{number:04}"
        row["date"] = row["date"].replace("/", "-").replace(" ", "T")
    return rows


def history(flight: dict[str, Any]) -> list[Any]:
    """The patches that follow a flight's announcement, in order."""
    delay = flight["delay"]
    if delay == 0:
        return []
    if delay < 15:
        return [{"op": "replace", "path": "delay", "value": delay}]
    late = {"op": "append", "path": "remarks", "value": "late"}
    return [
        [{"op": "incr", "path": "delay", "value": delay - 10}, late],
        {"op": "incr", "path": "delay", "value": 10},
    ]


def outcome(flight: dict[str, Any]) -> dict[str, Any]:
    """The expected final object of a flight, without the fields set by the server's clock."""
    patches = history(flight)
    done = {
        **flight,
        "date": calendar.timegm(time.strptime(flight["date"], "%Y-%m-%dT%H:%M")),
        "version": 1 + len(patches),
    }
    return done | {"remarks": ["late"]} if len(patches) == 2 else done


def questions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One different filter per subscriber, covering everything that a filter can express."""
    rng = random.Random(2001)
    origins = [name for name, _ in Counter(row["origin"] for row in rows).most_common(60)]
    goals = [name for name, _ in Counter(row["destination"] for row in rows).most_common(40)]
    asked: list[dict[str, Any]] = [{}, {"delay": 0}, {"remarks": {"contains": "late"}}]
    asked += [{"origin": name} for name in origins]
    asked += [{"destination": {"eq": name}, "delay": {"gt": 0}} for name in goals]
    asked += [{"delay": {"gte": 10 * step, "lt": 10 * step + 10}} for step in range(-2, 12)]
    asked += [{"distance": {"gt": 100 * step, "lte": 100 * step + 150}} for step in range(20)]
    while len(asked) < SUBSCRIBERS:
        some = rng.sample(origins, 4)
        moment = rng.choice(rows)["date"]
        asked.append(
            rng.choice(
                [
                    {"origin": {"in": some}, "$not": {"destination": {"in": goals[:20]}}},
                    {"$or": [{"origin": some[0]}, {"destination": some[1]}], "delay": {"lt": 0}},
                    {"date": {"gte": moment}, "origin": {"nin": origins[:50]}},
                    {"$and": [{"delay": {"gt": 15}}, {"distance": {"lt": rng.randint(300, 900)}}]},
                    {"$not": {"$or": [{"delay": {"lt": 30}}, {"origin": some[0]}]}},
                    {"remarks": {"exists": True}, "destination": {"ne": some[2]}},
                ]
            )
        )
    return asked


class Board:
    """The writers and the subscribers of one run."""

    def __init__(self, endpoint: Endpoint, app_id: str, http: httpx2.AsyncClient) -> None:
        self.endpoint = endpoint
        self.app_id = app_id
        self.http = http
        self.ledger = Ledger()
        self.watchers: list[tuple[NexxusClient, View]] = []

    def client(self) -> NexxusClient:
        return NexxusClient(self.endpoint, self.app_id, http=self.http, ledger=self.ledger)

    async def announce(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        """Write flights and their changes until none are left."""
        writer = self.client()
        while not queue.empty():
            flight = queue.get_nowait()
            await writer.create("flight", wait=False, **{**flight, "delay": 0})
            for patch in history(flight):
                await writer.update("flight", flight["id"], patch, wait=False)

    async def watch(self, asked: dict[str, Any]) -> None:
        """Add a subscriber."""
        watcher = await (await self.client().register_device()).connect()
        view = await watcher.subscribe("flight", filter=asked, limit=5000)
        self.watchers.append((watcher, view))


def shown(view: View) -> dict[str, Any]:
    """A subscriber's view, without the fields set by the server's clock."""
    return {
        item["id"]: {key: value for key, value in item.items() if key not in BUILT_IN}
        for item in view.items.values()
    }


@pytest.mark.contract("5. Subscriptions", "real use")
async def test_two_hundred_subscribers_see_all_flights(
    endpoint: Endpoint, admin: Admin, http: httpx2.AsyncClient
) -> None:
    board = Board(endpoint, admin.create({"id": unique("flights"), **APPLICATION})["id"], http)
    rows = flights()
    queue = asyncio.Queue[dict[str, Any]]()
    for row in rows:
        queue.put_nowait(row)

    # Half of the subscribers subscribe before the first flight, half in the middle.
    asking = questions(rows)
    for asked in asking[: SUBSCRIBERS // 2]:
        await board.watch(asked)
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(board.announce(queue))
        for asked in asking[SUBSCRIBERS // 2 :]:
            await board.watch(asked)

    assert len({view.channel_id for _, view in board.watchers}) > SUBSCRIBERS * 0.9
    outcomes = [outcome(row) for row in rows]
    for watcher, view in board.watchers:
        question = parsed(view.descriptor["filter"])
        expected = {done["id"]: done for done in outcomes if matches(question, done)}
        with contextlib.suppress(AssertionError):  # the comparison below has a better message
            await eventually(
                lambda view=view, expected=expected: shown(view) == expected, patience=60
            )
        assert shown(view) == expected, question
        await watcher.close()
        watcher.check()
    assert await board.client().count("flight") == len(rows)


def parsed(asked: dict[str, Any]) -> dict[str, Any]:
    """A filter with its date in seconds, for the oracle."""
    if "date" not in asked:
        return asked
    moment = calendar.timegm(time.strptime(asked["date"]["gte"], "%Y-%m-%dT%H:%M"))
    return {**asked, "date": {"gte": moment}}
