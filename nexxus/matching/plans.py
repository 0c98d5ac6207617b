"""Plans: by which of its conditions a filter is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or
from nexxus.matching.entries import Anchor, Interval

Share: TypeAlias = Callable[[Anchor], float]
"""Estimates the share of all events that meet a condition."""

_LOWER: Final = frozenset({Op.GT, Op.GTE})
_UPPER: Final = frozenset({Op.LT, Op.LTE})


class Plan(NamedTuple):
    """Every object that matches the filter meets one of `anchors`.

    `share` estimates which part of all events does; `residual` is what remains to be asked of
    those, None for nothing.
    """

    share: float
    anchors: tuple[Anchor, ...]
    residual: Filter | None


def plan(filter: Filter, share: Share) -> Plan | None:
    """The plan with the smallest share; None when each object must be judged."""
    match filter:
        case Compare(_, Op.EQ | Op.CONTAINS) | In() | Missing():
            return Plan(share(filter), (filter,), None)
        case Compare():
            return Plan(share(filter), (filter,), filter)
        case And(parts):
            return min(_plans_of_and(filter, parts, share), key=_share_of, default=None)
        case Or(parts):
            return _plan_of_or(filter, parts, share)
        case Not():
            return None


def _plans_of_and(filter: Filter, parts: Sequence[Filter], share: Share) -> Iterator[Plan]:
    for i, part in enumerate(parts):
        found = plan(part, share)
        if found is not None and found.residual is None:
            rest = (*parts[:i], *parts[i + 1 :])
            yield found._replace(residual=rest[0] if len(rest) == 1 else And(rest))
        elif found is not None:
            yield found._replace(residual=filter)
    for interval in _intervals(parts):
        yield Plan(share(interval), (interval,), filter)


def _plan_of_or(filter: Filter, parts: Sequence[Filter], share: Share) -> Plan | None:
    total = 0.0
    anchors: list[Anchor] = []
    residual = None
    for part in parts:
        found = plan(part, share)
        if found is None:
            return None
        total += found.share
        anchors += found.anchors
        if found.residual is not None:
            residual = filter
    return Plan(total, tuple(dict.fromkeys(anchors)), residual)


def _intervals(parts: Sequence[Filter]) -> Iterator[Interval]:
    lows: dict[str, int | float] = {}
    highs: dict[str, int | float] = {}
    for part in parts:
        if isinstance(part, Compare) and not isinstance(part.value, str):
            path, value = part.path, part.value
            if part.op in _LOWER:
                lows[path] = max(value, lows.get(path, value))
            elif part.op in _UPPER:
                highs[path] = min(value, highs.get(path, value))
    for path in lows.keys() & highs.keys():
        yield Interval(path, lows[path], highs[path])


def _share_of(found: Plan) -> float:
    return found.share
