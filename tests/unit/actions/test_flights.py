"""What is being written to."""

from __future__ import annotations

from nexxus.actions.flights import Flights
from nexxus.domain.objects import ObjectKey

FLIGHT = ("d1", ObjectKey("app", "task", "t1"))
OF_ANOTHER = ("d2", ObjectKey("app", "task", "t1"))


def test_a_write_is_under_way_until_the_last_of_its_object_has_landed() -> None:
    flights = Flights(linger=0)

    flights.begin(FLIGHT)
    flights.begin(FLIGHT)
    flights.published(FLIGHT)
    assert FLIGHT in flights
    assert OF_ANOTHER not in flights
    flights.published(FLIGHT)

    assert FLIGHT not in flights


def test_a_write_lingers_where_confirmed_is_not_yet_stored() -> None:
    now = 100.0
    flights = Flights(linger=10, now=lambda: now)
    flights.begin(FLIGHT)
    flights.published(FLIGHT)

    now = 109.9
    assert FLIGHT in flights
    now = 110.0
    assert FLIGHT not in flights
