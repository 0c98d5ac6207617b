"""The plan of a run: which faults happen, when and for how long; pure data from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

NODES: Final = tuple(
    f"{role}-{number}"
    for role in ("writer", "transport-manager", "gateway", "api")
    for number in (1, 2)
)
SERVICES: Final = ("elasticsearch", "rabbitmq", "redis")
CLIENT_LINKS: Final = ("clients>api", "clients>gateway")
"""The load balancers that clients connect to."""

EVERYBODY: Final = "*"


class Kind(Enum):
    """The kind of a fault; the value describes it."""

    KILL = "kill -9"
    RESTART = "restart"
    FREEZE = "freeze"
    RESET = "reset the connections"
    RESET_SOME = "reset every other connection"
    REFUSE = "reset and refuse connections"
    STALL = "stall the connections"
    HALF_OPEN = "leave the connections half open"
    HALF_OPEN_SOME = "leave every other connection half open"
    DELAY = "delay the connections"


@dataclass(frozen=True)
class Fault:
    """One fault. `target` is a node, a service, or a link such as ``writer-1>redis``.

    It begins `after` seconds after the previous fault began. For `lasts` seconds, a process is down
    or frozen, or bytes are held up; resetting connections or leaving them half open takes no time.
    """

    number: int
    kind: Kind
    target: str
    after: float
    lasts: float

    @property
    def links(self) -> frozenset[tuple[str, str]]:
        """The affected links as pairs of their ends; ``*`` means the links of all nodes."""
        if ">" not in self.target:
            return frozenset()
        origin, goal = self.target.split(">")
        origins = NODES if origin == EVERYBODY else (origin,)
        return frozenset((each, goal) for each in origins)

    def __str__(self) -> str:
        lasting = f" for {self.lasts:.1f} s" if self.lasts else ""
        return f"{self.kind.value}: {self.target}{lasting}"


def plan(seed: int, count: int) -> Iterator[Fault]:
    """Yield `count` faults. The same seed yields the same faults; longer plans extend shorter ones.

    They are dealt like cards, deck after deck, so that even a short plan has faults of most kinds.
    """
    rng = random.Random(seed)
    deck: list[tuple[Kind, str]] = []
    for number in range(1, count + 1):
        if not deck:
            deck = _deck(rng)
            rng.shuffle(deck)
        kind, target = deck.pop()
        yield Fault(number, kind, target, _after(rng), _lasts(rng, kind, target))


def _deck(rng: random.Random) -> list[tuple[Kind, str]]:
    """Return forty faults; their targets are random, the number of each kind is fixed."""

    def link() -> str:
        return f"{rng.choice(NODES)}>{rng.choice(SERVICES)}"

    def everybody() -> str:
        return f"{EVERYBODY}>{rng.choice(SERVICES)}"

    deck = [(Kind.KILL, node) for node in NODES]
    deck += [(Kind.FREEZE, rng.choice(NODES)) for _ in range(3)]
    deck += [(Kind.KILL, "redis"), (Kind.KILL, "redis"), (Kind.RESTART, "redis")]
    # These take long to restart, so there is one of each per deck, either killed or stopped.
    deck += [(rng.choice((Kind.KILL, Kind.RESTART)), "rabbitmq")]
    deck += [(rng.choice((Kind.KILL, Kind.RESTART)), "elasticsearch")]
    for kind, times in (
        (Kind.RESET, 2),
        (Kind.REFUSE, 2),
        (Kind.STALL, 3),
        (Kind.HALF_OPEN, 2),
        (Kind.DELAY, 1),
    ):
        deck += [(kind, link()) for _ in range(times)]
        deck += [(kind, everybody())]
    # A node sends and receives on separate connections: one may be lost without the other.
    deck += [(Kind.RESET_SOME, link()) for _ in range(2)]
    deck += [(Kind.HALF_OPEN_SOME, link()) for _ in range(2)]
    deck += [(Kind.RESET, "clients>api"), (Kind.RESET, "clients>gateway")]
    deck += [(Kind.HALF_OPEN, rng.choice(CLIENT_LINKS)), (Kind.STALL, rng.choice(CLIENT_LINKS))]
    deck += [(Kind.DELAY, rng.choice(CLIENT_LINKS))]
    return deck


def _after(rng: random.Random) -> float:
    # Some faults overlap, and some come when everything has recovered.
    return round(min(rng.expovariate(1 / 3.0), 8.0), 2)


def _lasts(rng: random.Random, kind: Kind, target: str) -> float:
    match kind:
        case Kind.KILL | Kind.RESTART if target in NODES:
            # One in eight is down long enough to be considered dead and swept.
            return round(rng.uniform(16, 20) if rng.random() < 1 / 8 else rng.uniform(0, 3), 2)
        case Kind.KILL | Kind.RESTART:
            return round(rng.uniform(0, 2), 2)
        case Kind.FREEZE:
            return round(rng.uniform(16, 20) if rng.random() < 1 / 4 else rng.uniform(1, 6), 2)
        case Kind.REFUSE | Kind.STALL | Kind.DELAY:
            return round(rng.uniform(0.5, 6), 2)
        case _:
            return 0.0
