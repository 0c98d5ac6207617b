"""The demo's timeline: the writes that drive the board."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import Any

from nexxus.demo.application import APPLICATION
from nexxus.demo.timeline import FlightWrite, load_flights, timeline
from nexxus.domain.application import parse_application
from nexxus.domain.patches import apply, parse_patches

FLIGHTS = load_flights()
MODEL = parse_application(APPLICATION).model("flight")


def first(count: int, **options: Any) -> list[FlightWrite]:
    return list(islice(timeline(FLIGHTS, **options), count))


def lives(writes: list[FlightWrite]) -> dict[str, list[FlightWrite]]:
    """The writes of each flight until it is first removed from the board."""
    found: dict[str, list[FlightWrite]] = defaultdict(list)
    for write in writes:
        life = found[write.flight.id]
        if not life or life[-1].method != "DELETE":
            life.append(write)
    return {name: life for name, life in found.items() if life[-1].method == "DELETE"}


def test_the_same_seed_yields_the_same_timeline() -> None:
    assert first(3000, seed=1) == first(3000, seed=1)
    assert first(3000, seed=1) != first(3000, seed=2)


def test_a_flight_appears_changes_and_leaves_in_that_order() -> None:
    for life in lives(first(20_000)).values():
        methods = [write.method for write in life]
        assert methods == ["POST", *["PUT"] * (len(life) - 2), "DELETE"]


def test_a_flight_departs_with_its_real_delay() -> None:
    for life in lives(first(20_000)).values():
        document = {"version": 1, "updatedAt": 0, **(life[0].body or {})}
        for write in life[1:-1]:
            patches = parse_patches((write.body or {})["patch"], MODEL)
            document, _ = apply(patches, document, MODEL, now=0)
        assert (document["status"], document["delay"]) == ("departed", life[0].flight.delay)


def test_a_flight_reappears_only_after_it_was_removed() -> None:
    on_the_board: set[str] = set()
    rounds: Counter[str] = Counter()
    for write in first(30_000):
        assert (write.flight.id in on_the_board) is (write.method != "POST")
        if write.method == "POST":
            on_the_board.add(write.flight.id)
            rounds[write.flight.id] += 1
        elif write.method == "DELETE":
            on_the_board.remove(write.flight.id)
    assert min(rounds.values()) > 1, "the show goes on after the last flight"
    assert 250 < len(on_the_board) < 400
