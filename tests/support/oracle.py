"""What a filter means, written down a second time and as plainly as possible.

Tests compare the server's answers with these. Filters are as a client sends them, but with
dates as UNIX seconds; whether a filter is valid is not asked here.
"""

from __future__ import annotations

import random
from typing import Any

Document = dict[str, Any]

ORDER = {
    "gt": lambda mine, value: mine > value,
    "gte": lambda mine, value: mine >= value,
    "lt": lambda mine, value: mine < value,
    "lte": lambda mine, value: mine <= value,
}


def lookup(document: Document, path: str) -> Any:
    """The value at a dotted path; None where there is none or an empty array."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if value == [] else value


def matches(filter: Document | None, document: Document) -> bool:
    """`document` is what `filter` asks for."""
    for key, wanted in (filter or {}).items():
        if key in ("$and", "and"):
            holds = all(matches(part, document) for part in wanted)
        elif key in ("$or", "or"):
            holds = any(matches(part, document) for part in wanted)
        elif key in ("$not", "not"):
            holds = not matches(wanted, document)
        else:
            value = lookup(document, key)
            operators = wanted if isinstance(wanted, dict) else {"eq": wanted}
            holds = all(
                _holds(name.removeprefix("$"), value, operand)
                for name, operand in operators.items()
            )
        if not holds:
            return False
    return True


def _holds(op: str, value: Any, operand: Any) -> bool:
    if op == "eq":
        return bool(value == operand)
    if op == "ne":
        return bool(value != operand)
    if op == "in":
        return value in operand
    if op == "nin":
        return value not in operand
    if op == "exists":
        return (value is not None) is operand
    if op == "contains":
        return value is not None and operand in value
    return value is not None and ORDER[op](value, operand)


def matches_descriptor(descriptor: Document, document: Document) -> bool:
    """`document` belongs to the channel of `descriptor`, but for access control."""
    return (
        document["type"] == descriptor["model"]
        and descriptor.get("id") in (None, document["id"])
        and descriptor.get("userId") in (None, document.get("userId"))
        and matches(descriptor.get("filter"), document)
    )


# Random tasks and filters, from few values so that they meet.

STATUSES = ["todo", "doing", "done", "Done"]
TAGS = ["red", "green", "blue", "é"]
CITIES = ["Bonn", "Pau"]


def random_fields(rng: random.Random) -> Document:
    """Some of the fields of a task (see `documents.TASK`), with some of their values."""
    choices: Document = {
        "status": rng.choice(STATUSES),
        "points": rng.randint(0, 5),
        "weight": rng.choice([0, 0.5, 1, 2.25, -3.5]),
        "done": rng.random() < 0.5,
        "dueDate": rng.choice([None, 0, 86_400, 1_700_000_000]),
        "tags": rng.sample(TAGS, rng.randint(0, 3)),
        "scores": [rng.randint(0, 3) for _ in range(rng.randint(0, 3))],
        "location": rng.choice(
            [{"city": rng.choice(CITIES)}, {"lat": rng.choice([1.5, 2])}, {"place": {"floor": 1}}]
        ),
    }
    return {name: value for name, value in choices.items() if rng.random() < 0.6}


def random_filter(rng: random.Random, depth: int = 2) -> Document:
    """A filter on a task's fields, of any shape."""
    shape = rng.random()
    if depth and shape < 0.12:
        return {"$and": [random_filter(rng, depth - 1) for _ in range(rng.randint(1, 3))]}
    if depth and shape < 0.27:
        return {"$or": [random_filter(rng, depth - 1) for _ in range(rng.randint(1, 3))]}
    if depth and shape < 0.35:
        return {"$not": random_filter(rng, depth - 1)}
    if depth and shape < 0.45:
        return {**random_filter(rng, 0), **random_filter(rng, 0)}
    return rng.choice(_LEAVES)(rng)


def _scalar(path: str, values: list[Any], *ordered: str) -> Any:
    def leaf(rng: random.Random) -> Document:
        op = rng.choice(["eq", "ne", "in", "nin", "exists", "bare", *ordered])
        value = rng.choice(values)
        if op == "bare":
            return {path: rng.choice([value, None])}
        if op == "exists":
            return {path: {"exists": rng.random() < 0.5}}
        if op in ("in", "nin"):
            return {path: {op: rng.sample([*values, None], rng.randint(0, 3))}}
        return {path: {rng.choice(["", "$"]) + op: value}}

    return leaf


def _array(path: str, values: list[Any]) -> Any:
    def leaf(rng: random.Random) -> Document:
        if rng.random() < 0.7:
            return {path: {"contains": rng.choice(values)}}
        return {path: {"exists": rng.random() < 0.5}}

    return leaf


_LEAVES = [
    _scalar("status", STATUSES),
    _scalar("points", list(range(6)), *ORDER),
    _scalar("weight", [0, 0.5, 1, 2.25], *ORDER),
    _scalar("done", [True, False]),
    _scalar("dueDate", [0, 86_400, 1_700_000_000], *ORDER),
    _scalar("location.city", CITIES),
    _scalar("location.lat", [1.5, 2, 3], *ORDER),
    _scalar("location.place.floor", [1, 2, 3], *ORDER),
    _array("tags", TAGS),
    _array("scores", [0, 1, 2, 3]),
]
