"""What an event costs to match, with few filters and with very many.

    python benchmarks/matching.py [--routes 1000000]

Every filter is an equality on one field, with a value of its own, as when each user follows
what is assigned to them. An event is an update that takes an object from one user to another.
The claims, as ratios measured in one run, so that the machine does not matter:

- an event costs about the same with a million filters as with a thousand (goal: at most 2 ×);
- far less than asking each of a thousand compiled filters, which is the bare reference.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from random import Random

from nexxus.domain.channels import Descriptor, Route
from nexxus.domain.events import Event
from nexxus.domain.filter_matcher import Matcher, compile_matcher
from nexxus.domain.filters import Compare, Op
from nexxus.domain.schema import compile_model
from nexxus.matching import RouteIndex

MODEL = compile_model(
    "task",
    {
        "title": {"type": "string", "required": True},
        "status": {"type": "string", "filterable": True},
        "assignee": {"type": "string", "filterable": True},
        "points": {"type": "int", "filterable": True},
    },
)
FEW = 1_000
EVENTS = 2_000
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routes", type=int, default=1_000_000, help="how many are very many")
    many = parser.parse_args().routes

    few_index = build(FEW)
    memory, started = peak_memory(), time.perf_counter()
    many_index = build(many)
    seconds, memory = time.perf_counter() - started, peak_memory() - memory
    print(
        f"build            {many:>9,} filters   {seconds:8.1f} s   "
        f"{seconds / many * 1e6:6.2f} µs each   {memory / many:5.0f} bytes each"
    )

    matchers = [compile_matcher(Compare("assignee", Op.EQ, f"user-{n}")) for n in range(FEW)]
    random = Random(1)
    few_events, many_events = events(FEW, random), events(many, random)
    few_costs, many_costs, bare_costs = [], [], []
    for _ in range(ROUNDS):  # alternating, so that a slow moment of the machine hits them alike
        few_costs.append(cost_per_event(few_index.match, few_events))
        many_costs.append(cost_per_event(many_index.match, many_events))
        bare_costs.append(cost_per_event(asking_each_of(matchers), few_events[:20]))
    few_cost, many_cost, bare_cost = min(few_costs), min(many_costs), min(bare_costs)
    print(f"index            {FEW:>9,} filters   {few_cost:8.2f} µs per event")
    print(f"index            {many:>9,} filters   {many_cost:8.2f} µs per event")
    print(f"asking each of   {FEW:>9,} filters   {bare_cost:8.2f} µs per event")
    print(f"many to few      {many_cost / few_cost:6.2f} ×   (goal: at most 2)")
    print(f"each to index    {bare_cost / few_cost:6.0f} ×   (how much the index saves)")


def build(count: int) -> RouteIndex:
    """An index of `count` routes."""
    index = RouteIndex(MODEL)
    for n in range(count):
        descriptor = Descriptor("task", filter={"assignee": {"eq": f"user-{n}"}})
        index.add(Route(f"nxx:subscription:app:task:filter:{n:016x}", "app", descriptor))
    return index


def events(users: int, random: Random) -> list[Event]:
    """Updates of tasks that pass from one user to another."""

    def task(user: int) -> dict[str, object]:
        return {
            "id": "0190", "type": "task", "appId": "app", "createdAt": 0, "updatedAt": 0,
            "version": 1, "title": "t", "status": "open", "points": 3, "assignee": f"user-{user}",
        }  # fmt: skip

    return [
        Event(
            "model_updated", "app", "task", "0190", 2,
            task(random.randrange(users)), task(random.randrange(users)),
        )
        for _ in range(EVENTS)
    ]  # fmt: skip


def asking_each_of(matchers: Sequence[Matcher]) -> Callable[[Event], object]:
    """The bare reference: every filter judges the object before and after."""

    def match(event: Event) -> object:
        before, after = event.before or {}, event.after or {}
        return [(n, m(before), m(after)) for n, m in enumerate(matchers) if m(before) or m(after)]

    return match


def cost_per_event(match: Callable[[Event], object], events: Sequence[Event]) -> float:
    """In microseconds."""
    started = time.perf_counter()
    for event in events:
        match(event)
    return (time.perf_counter() - started) / len(events) * 1e6


def peak_memory() -> int:
    """In bytes, of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
