"""FilterQuery: from a normalised tree to a function that tests stored objects.

The functions never raise. A value whose type differs from the filter's (in an event from before a
schema change) does not match.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or, Scalar
from nexxus.domain.objects import Document

Matcher: TypeAlias = Callable[[Document], bool]
Reader: TypeAlias = Callable[[Document], Any]

SCALARS: Final = frozenset({str, int, float, bool})
_NUMBERS: Final = frozenset({int, float})
_ORDER: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.GT: operator.gt,
    Op.GTE: operator.ge,
    Op.LT: operator.lt,
    Op.LTE: operator.le,
}


def compile_matcher(filter: Filter) -> Matcher:
    """Return a function that tests whether a stored object matches `filter`."""
    match filter:
        case Compare():
            return _comparison(filter)
        case In(path, values):
            return _membership(path, frozenset(values))
        case Missing(path):
            read = compile_reader(path)
            return lambda document: is_missing(read(document))
        case Not(part):
            holds = compile_matcher(part)
            return lambda document: not holds(document)
        case And(parts):
            return _all([compile_matcher(part) for part in parts])
        case Or(parts):
            return _any([compile_matcher(part) for part in parts])


def compile_reader(path: str) -> Reader:
    """Return a function that reads the value at a dotted path, or None if it is absent."""
    if "." not in path:
        return lambda document: document.get(path)
    *way, last = path.split(".")

    def read(document: Document) -> Any:
        node: Any = document
        for part in way:
            node = node.get(part)
            if node.__class__ is not dict:
                return None
        return node.get(last)

    return read


def is_missing(value: Any) -> bool:
    """Return whether a value counts as missing."""
    return value is None or value == []


def _comparison(condition: Compare) -> Matcher:
    value = condition.value
    if condition.op is Op.EQ:
        return _equality(condition.path, value)
    read = compile_reader(condition.path)
    if condition.op is Op.CONTAINS:

        def contains(document: Document) -> bool:
            found = read(document)
            return found.__class__ is list and value in found

        return contains

    compares = _ORDER[condition.op]

    def in_order(document: Document) -> bool:
        found = read(document)
        return found.__class__ in _NUMBERS and compares(found, value)

    return in_order


def _equality(path: str, value: Scalar) -> Matcher:
    if "." not in path:  # by far the most common condition: avoids a second call
        return lambda document: document.get(path) == value
    read = compile_reader(path)
    return lambda document: read(document) == value


def _membership(path: str, values: frozenset[Scalar]) -> Matcher:
    read = compile_reader(path)

    def is_member(document: Document) -> bool:
        found = read(document)
        return found.__class__ in SCALARS and found in values

    return is_member


def _all(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 2:
        first, second = matchers
        return lambda document: first(document) and second(document)

    def all_match(document: Document) -> bool:
        for holds in matchers:  # noqa: SIM110 - all() with a generator takes twice as long
            if not holds(document):
                return False
        return True

    return all_match


def _any(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 2:
        first, second = matchers
        return lambda document: first(document) or second(document)

    def any_matches(document: Document) -> bool:
        for holds in matchers:  # noqa: SIM110 - as above
            if holds(document):
                return True
        return False

    return any_matches
