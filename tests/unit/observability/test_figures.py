"""Figures are declared as fields, counted as attributes, and read at each scrape."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import pytest

from nexxus.observability.figures import Family, Figures, Histogram, counter, gauge, histogram


class Kettle(msgspec.Struct):
    boiled: Annotated[int, counter("Litres that were boiled.")] = 0
    temperature: Annotated[float, gauge("The water's temperature.")] = 20.0
    cups: Annotated[dict[str, int], counter("Cups that were filled.", "drink")] = {}
    orders: Annotated[dict[tuple[str, int], int], gauge("Orders.", "drink", "table")] = {}
    boil_seconds: Annotated[Histogram, histogram("Time to boil.")] = msgspec.field(
        default_factory=lambda: Histogram((1.0, 5.0))
    )
    serial_number: str = "k-1"


def refuse(place: str, error: Exception) -> None:
    raise error


async def families_of(figures: Figures) -> dict[str, Family]:
    return {family.name: family for family in await figures.collect(refuse)}


async def test_a_field_becomes_a_figure_with_its_own_help_under_the_parts_name() -> None:
    figures, kettle = Figures(), Kettle()
    figures.under("tea-room", "kettle 1").add(kettle)
    kettle.boiled += 2
    families = await families_of(figures)
    assert list(families) == [
        "nexxus_tea_room_kettle_1_boil_seconds",
        "nexxus_tea_room_kettle_1_boiled_total",
        "nexxus_tea_room_kettle_1_cups_total",
        "nexxus_tea_room_kettle_1_orders",
        "nexxus_tea_room_kettle_1_temperature",
    ]
    boiled = families["nexxus_tea_room_kettle_1_boiled_total"]
    assert (boiled.kind, boiled.help) == ("counter", "Litres that were boiled.")
    assert [(sample.labels, sample.value) for sample in boiled.samples] == [({}, 2)]


async def test_a_mapping_has_a_sample_for_each_value_of_its_labels() -> None:
    figures = Figures()
    figures.add(Kettle(cups={"tea": 3, "mate": 1}, orders={("tea", 7): 2}), room="first")
    families = await families_of(figures)
    cups = [(s.labels, s.value) for s in families["nexxus_cups_total"].samples]
    assert cups == [({"room": "first", "drink": "tea"}, 3), ({"room": "first", "drink": "mate"}, 1)]
    (order,) = families["nexxus_orders"].samples
    assert order.labels == {"room": "first", "drink": "tea", "table": "7"}


async def test_labels_distinguish_parts_of_the_same_kind_in_one_family() -> None:
    figures = Figures()
    for room in ("first", "second"):
        figures.under("kettle").add(Kettle(boiled=len(room)), room=room)
    boiled = (await families_of(figures))["nexxus_kettle_boiled_total"]
    assert [(s.labels["room"], s.value) for s in boiled.samples] == [("first", 5), ("second", 6)]


async def test_figures_may_be_read_asynchronously_at_a_scrape() -> None:
    figures = Figures()

    async def read() -> Kettle:
        return Kettle(temperature=99.5)

    figures.read(read)
    figures.under("other").read(lambda: Kettle(temperature=1.0))
    families = await families_of(figures)
    assert families["nexxus_temperature"].samples[0].value == 99.5
    assert families["nexxus_other_temperature"].samples[0].value == 1.0


async def test_unreadable_figures_are_reported_and_the_others_are_included() -> None:
    figures, problems = Figures(patience=0.01), []

    async def hang() -> Kettle:
        await asyncio.Event().wait()
        raise AssertionError

    def fail() -> Kettle:
        raise ValueError("no water")

    figures.under("hanging").read(hang)
    figures.under("failing").read(fail)
    figures.under("sound").add(Kettle())
    found = await figures.collect(lambda place, error: problems.append((place, type(error))))
    assert {family.name.split("_")[1] for family in found} == {"sound"}
    assert sorted(problems) == [("nexxus_failing", ValueError), ("nexxus_hanging", TimeoutError)]


def test_a_struct_without_figures_is_refused() -> None:
    class Plain(msgspec.Struct):
        name: str = ""

    with pytest.raises(TypeError, match="Plain has no field"):
        Figures().add(Plain())


def test_a_histogram_counts_by_bucket_including_the_upper_bound() -> None:
    seconds = Histogram((1.0, 5.0))
    for value in (0.5, 1.0, 1.1, 5.0, 9.0):
        seconds.observe(value)
    assert seconds.counts == [2, 2, 1]
    assert seconds.sum == pytest.approx(16.6)
