"""Plans: the conditions by which a filter is indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or
from nexxus.matching.indexed_routes import Anchor, Interval

Share: TypeAlias = Callable[[Anchor], float]
"""Estimates the share of all events that meet a condition."""

_LOWER: Final = frozenset({Op.GT, Op.GTE})
_UPPER: Final = frozenset({Op.LT, Op.LTE})


class Plan(NamedTuple):
    """Every object that matches the filter meets one of `anchors`.

    `residual` is the filter that remains to be evaluated for such objects, None if nothing remains.
    """

    anchors: tuple[Anchor, ...]
    residual: Filter | None


def plan(filter: Filter, share: Share) -> Plan | None:
    """Return the plan by which the fewest events are evaluated, or None if no condition helps."""
    match filter:
        case Compare(_, Op.EQ | Op.CONTAINS) | In() | Missing():
            return Plan((filter,), None)
        case Compare():
            return Plan((filter,), filter)
        case And(parts):
            return _plan_of_and(filter, parts, share)
        case Or(parts):
            return _plan_of_or(filter, parts, share)
        case Not():
            return None


def _plan_of_and(filter: Filter, parts: Sequence[Filter], share: Share) -> Plan | None:
    plans = [Plan((interval,), filter) for interval in _intervals(parts)]
    for i, part in enumerate(parts):
        found = plan(part, share)
        if found is None:
            continue
        if found.residual is None:
            rest = (*parts[:i], *parts[i + 1 :])
            plans.append(Plan(found.anchors, rest[0] if len(rest) == 1 else And(rest)))
        else:
            plans.append(Plan(found.anchors, filter))
    return min(plans, key=lambda found: sum(map(share, found.anchors)), default=None)


def _plan_of_or(filter: Filter, parts: Sequence[Filter], share: Share) -> Plan | None:
    plans = [plan(part, share) for part in parts]
    anchors: dict[Anchor, None] = {}
    residual = None
    for found in plans:
        if found is None:
            return None
        anchors |= dict.fromkeys(found.anchors)
        if found.residual is not None:
            residual = filter
    return Plan(tuple(anchors), residual)


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
    for path, low in lows.items():
        if path in highs:
            yield Interval(path, low, highs[path])
