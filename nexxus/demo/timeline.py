"""The timeline of the flights: an endless, seeded sequence of writes.

Flights appear in the order of their schedule, one per tick. Each stays for about `window` ticks: it
may be delayed in up to three steps, sometimes changes its gate, boards, departs and is removed from
the board. After the last flight, the sequence begins again with the first.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

DATA: Final = Path(__file__).parent / "flights-2k.json"
WINDOW: Final = 320
"""Ticks that a flight stays on the board, and so the number of flights on it at a time."""
SEED: Final = 2001

_WORTH_ANNOUNCING = 15
"""The shortest delay, in minutes, that is announced before the departure."""

Patch: TypeAlias = dict[str, Any]


class Flight(msgspec.Struct, frozen=True):
    """One flight: `scheduled` in UNIX seconds, `delay` in minutes, `distance` in miles."""

    id: str
    origin: str
    destination: str
    scheduled: int
    delay: int
    distance: int


class FlightWrite(msgspec.Struct, frozen=True):
    """One write: `body` is that of a create or an update, None for a delete."""

    method: Literal["POST", "PUT", "DELETE"]
    flight: Flight
    body: dict[str, Any] | None = None


def load_flights() -> list[Flight]:
    """Return the data set's flights by schedule. The flight numbers are invented."""
    rows = sorted(json.loads(DATA.read_text()), key=lambda row: row["date"])
    return [
        Flight(
            id=f"NX{1000 + number}",
            origin=row["origin"],
            destination=row["destination"],
            scheduled=_seconds(row["date"]),
            delay=row["delay"],
            distance=row["distance"],
        )
        for number, row in enumerate(rows)
    ]


def timeline(
    flights: Sequence[Flight], *, seed: int = SEED, window: int = WINDOW
) -> Iterator[FlightWrite]:
    """Yield writes endlessly; the same arguments yield the same writes.

    The writes of a flight are in the order in which they must be applied.
    """
    chance = random.Random(seed)
    due: list[tuple[int, int, FlightWrite]] = []
    order = itertools.count()
    for tick, flight in enumerate(itertools.cycle(flights)):
        yield FlightWrite("POST", flight, _board_row(flight, chance))
        for after, write in _life(flight, chance, window):
            heapq.heappush(due, (tick + after, next(order), write))
        while due and due[0][0] <= tick:
            yield heapq.heappop(due)[2]


def _seconds(date: str) -> int:
    # Local times without a time zone; the board shows them unchanged by treating them as UTC.
    return int(datetime.strptime(date, "%Y/%m/%d %H:%M").replace(tzinfo=UTC).timestamp())


def _board_row(flight: Flight, chance: random.Random) -> dict[str, Any]:
    return {
        "id": flight.id,
        "origin": flight.origin,
        "destination": flight.destination,
        "scheduled": flight.scheduled,
        "status": "scheduled",
        "delay": 0,
        "distance": flight.distance,
        "gate": _gate(chance),
    }


def _life(flight: Flight, chance: random.Random, window: int) -> Iterator[tuple[int, FlightWrite]]:
    """Yield the writes after the first, with their delays in ticks, ascending."""
    length = chance.uniform(0.75, 1.25) * window
    steps = _delay_steps(flight.delay, chance)
    moments = sorted(chance.uniform(0.1, 0.7) for _ in steps)
    changes: list[tuple[float, list[Patch]]] = [
        (moment, [_replace(status="delayed"), {"op": "incr", "path": "delay", "value": minutes}])
        for moment, minutes in zip(moments, steps, strict=True)
    ]
    if chance.random() < 0.1:
        changes.append((chance.uniform(0.1, 0.7), [_replace(gate=_gate(chance))]))
    changes.append((chance.uniform(0.72, 0.82), [_replace(status="boarding")]))
    changes.append((chance.uniform(0.9, 0.95), [_replace(status="departed", delay=flight.delay)]))
    for moment, patches in sorted(changes, key=lambda change: change[0]):
        yield max(1, int(moment * length)), FlightWrite("PUT", flight, {"patch": patches})
    yield max(1, int(length)), FlightWrite("DELETE", flight)


def _delay_steps(minutes: int, chance: random.Random) -> list[int]:
    """Split a delay into the steps in which it becomes known."""
    if minutes < _WORTH_ANNOUNCING:
        return []
    cuts = sorted(chance.randrange(5, minutes, 5) for _ in range(chance.randrange(3)))
    edges = [0, *dict.fromkeys(cuts), minutes]
    return [later - earlier for earlier, later in itertools.pairwise(edges)]


def _gate(chance: random.Random) -> str:
    return f"{chance.choice('ABCDE')}{chance.randrange(1, 40)}"


def _replace(**fields: Any) -> Patch:
    return {"op": "replace", "path": list(fields), "value": list(fields.values())}
