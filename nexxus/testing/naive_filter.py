"""What a filter means, said a second time: slowly, and straight from the contract (§4).

It judges the client's own document, without a parser or a normal form, so that whatever the
parser, the matcher or a database gets wrong, they do not get wrong together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from nexxus.domain.objects import Document
from nexxus.domain.schema import Kind, ModelType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def matches(filter: dict[str, Any], model: ModelType, document: Document) -> bool:
    """Whether the stored `document` matches a valid FilterQuery, in any spelling."""
    return all(_entry_holds(key, value, model, document) for key, value in filter.items())


def _entry_holds(key: str, value: Any, model: ModelType, document: Document) -> bool:
    if key in model.filterable:
        conditions = value if isinstance(value, dict) else {"eq": value}
        field = model.filterable[key]
        found = _find(document, key)
        return all(
            _holds(name.removeprefix("$"), operand, found, field.element or field.kind)
            for name, operand in conditions.items()
        )
    if key.endswith("not"):
        return not matches(value, model, document)
    holding = [matches(part, model, document) for part in value]
    return all(holding) if key.endswith("and") else any(holding)


def _holds(name: str, operand: Any, found: Any, kind: Kind) -> bool:
    is_missing = found is None or found == []
    match name:
        case "eq":
            return is_missing if operand is None else _is_equal(found, operand, kind)
        case "ne":
            return not _holds("eq", operand, found, kind)
        case "in":
            return any(_holds("eq", one, found, kind) for one in operand)
        case "nin":
            return not _holds("in", operand, found, kind)
        case "exists":
            return is_missing is not operand
        case "contains":
            return not is_missing and any(_is_equal(item, operand, kind) for item in found)
    if is_missing:
        return False
    left, right = Fraction(found), Fraction(_meant(operand, kind))
    return {
        "gt": left > right,
        "gte": left >= right,
        "lt": left < right,
        "lte": left <= right,
    }[name]


def _is_equal(found: Any, operand: Any, kind: Kind) -> bool:
    if isinstance(found, list):
        return any(_is_equal(item, operand, kind) for item in found)
    meant = _meant(operand, kind)
    if found is None:
        return False
    if isinstance(meant, str | bool):
        return bool(found == meant)
    return Fraction(found) == Fraction(meant)


def _meant(operand: Any, kind: Kind) -> Any:
    """The value that the operand stands for: of a date its seconds, of a float's a double."""
    if kind is Kind.FLOAT:
        return float(operand)
    if kind is not Kind.DATE:
        return operand
    if isinstance(operand, str):
        moment = datetime.fromisoformat(operand.upper()).replace(microsecond=0)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(seconds=1)
    return int(operand)


def _find(document: Document, path: str) -> Any:
    head, _, rest = path.partition(".")
    value = document.get(head)
    if not rest:
        return value
    return _find(value, rest) if isinstance(value, dict) else None
