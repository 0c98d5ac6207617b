"""FilterQuery: from a client's document to the normalised tree.

The alternative spellings of a filter are resolved here. Every error names the field and the rule.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from nexxus.domain.filters import (
    Compare,
    Filter,
    Missing,
    Op,
    Scalar,
    conjoin,
    disjoin,
    equals_one_of,
    negate,
)
from nexxus.domain.schema import NUMERIC, Field, Kind, ModelType
from nexxus.domain.values import MAX_INT, coerce_primitive
from nexxus.errors import InvalidParameters

MAX_IN_VALUES: Final = 1024
_LOGIC: Final = frozenset({"and", "or", "not"})
_ORDER: Final = {"gt": Op.GT, "gte": Op.GTE, "lt": Op.LT, "lte": Op.LTE}
_OPERATORS: Final = ("eq", "ne", *_ORDER, "in", "nin", "exists", "contains")


def parse_filter(
    document: Any, model: ModelType, *, max_conditions: int = 256, max_depth: int = 64
) -> Filter:
    """Parse a client's `document` to the normalised filter for `model`.

    `max_conditions` limits the operators on fields (an ``in`` counts as one). `max_depth` limits
    the levels of ``$and``, ``$or`` and ``$not``; the whole document is the first level. Raises
    `InvalidParameters`, which names the field and the rule.
    """
    return _Parser(model, max_conditions, max_depth, MAX_IN_VALUES).parse(document, "filter", 1)


def from_document(document: dict[str, Any], model: ModelType) -> Filter:
    """Parse a stored document, without limits: `parse_filter` accepted it before.

    Raises `InvalidParameters` if it no longer fits `model`, because the schema has changed.
    """
    return _Parser(model, sys.maxsize, sys.maxsize, sys.maxsize).parse(document, "filter", 1)


class _Parser:
    def __init__(
        self, model: ModelType, max_conditions: int, max_depth: int, max_values: int
    ) -> None:
        self._model = model
        self._max_conditions = max_conditions
        self._max_depth = max_depth
        self._max_values = max_values
        self._conditions = 0

    def parse(self, document: Any, where: str, depth: int, *, holds: bool = True) -> Filter:
        """Parse `document` to its filter, or to the negated filter if `holds` is False.

        Negation is pushed down to the conditions, so that each level is built only once.
        """
        if not isinstance(document, dict):
            raise _complaint(where, "expected an object of conditions", "filter")
        if depth > self._max_depth:
            rule = f"is nested more than {self._max_depth} levels deep"
            raise _complaint(where, rule, "depth")
        parts = [self._entry(key, value, where, depth, holds) for key, value in document.items()]
        return conjoin(*parts) if holds else disjoin(*parts)

    def _entry(self, key: Any, value: Any, where: str, depth: int, holds: bool) -> Filter:
        field = self._model.filterable.get(key)
        if field is not None:
            return self._field(sys.intern(key), value, field, holds)
        name = self._logic(key)
        if name is None:
            raise self._unusable(key)
        here = f"{where}.{key}"
        if name == "not":
            return self.parse(value, here, depth + 1, holds=not holds)
        if not isinstance(value, list):
            raise _complaint(here, "expected a list of filters", name)
        parts = [
            self.parse(part, f"{here}[{i}]", depth + 1, holds=holds) for i, part in enumerate(value)
        ]
        return conjoin(*parts) if (name == "and") is holds else disjoin(*parts)

    def _logic(self, key: Any) -> str | None:
        """Return the logical operator that `key` names, or None.

        Without a ``$``, the name of a field takes precedence.
        """
        if not isinstance(key, str) or key in self._model.fields:
            return None
        name = key.removeprefix("$")
        return name if name in _LOGIC else None

    def _unusable(self, key: Any) -> InvalidParameters:
        if not isinstance(key, str):
            return _complaint(f"{key!r:.60}", "expected a field name", "declared")
        if key.startswith("$"):
            return _complaint(key, "expected $and, $or, $not or a field", "operator")
        if key in self._model.paths:
            return _complaint(key, "is not filterable", "filterable")
        return _complaint(key, "this model has no such field to filter by", "declared")

    def _field(self, path: str, value: Any, field: Field, holds: bool) -> Filter:
        if not isinstance(value, dict):
            found = self._condition(path, "eq", value, field)
        elif not value:
            raise _complaint(path, f"expected a value or one of {_shown(_OPERATORS)}", "operator")
        else:
            found = conjoin(*(self._operator(path, key, v, field) for key, v in value.items()))
        return found if holds else negate(found)

    def _operator(self, path: str, key: Any, operand: Any, field: Field) -> Filter:
        name = key.removeprefix("$") if isinstance(key, str) else None
        if name not in _OPERATORS:
            rule = f"{key!r:.60} is not one of {_shown(_OPERATORS)}"
            raise _complaint(path, rule, "operator")
        return self._condition(path, name, operand, field)

    def _condition(self, path: str, operator: str, operand: Any, field: Field) -> Filter:
        self._conditions += 1
        if self._conditions > self._max_conditions:
            rule = f"the filter has more than {self._max_conditions} conditions"
            raise _complaint(path, rule, "filter_conditions")
        match operator:
            case "eq":
                return _equality(path, operand, field)
            case "ne":
                return negate(_equality(path, operand, field))
            case "in":
                return self._membership(path, operator, operand, field)
            case "nin":
                return negate(self._membership(path, operator, operand, field))
            case "exists":
                return _existence(path, operand)
            case "contains":
                return _containment(path, operand, field)
            case _:
                return _comparison(path, operator, operand, field)

    def _membership(self, path: str, operator: str, operand: Any, field: Field) -> Filter:
        if not isinstance(operand, list):
            raise _complaint(path, f"{operator} expects a list of values", operator)
        if len(operand) > self._max_values:
            rule = f"{operator} holds at most {self._max_values} values, got {len(operand)}"
            raise _complaint(path, rule, operator)
        values = [value for value in operand if value is not None]
        if field.element is None:
            found = equals_one_of(path, [_scalar(path, value, field) for value in values])
        else:
            found = disjoin(*(_equality(path, value, field) for value in values))
        return disjoin(found, Missing(path)) if None in operand else found


def _equality(path: str, operand: Any, field: Field) -> Filter:
    """Return the filter of objects whose value, or one element of whose array, is `operand`."""
    if operand is None:
        return Missing(path)
    if field.element is not None:
        return _containment(path, operand, field)
    return Compare(path, Op.EQ, _scalar(path, operand, field))


def _existence(path: str, operand: Any) -> Filter:
    if not isinstance(operand, bool):
        raise _complaint(path, "exists expects true or false", "exists")
    return negate(Missing(path)) if operand else Missing(path)


def _containment(path: str, operand: Any, field: Field) -> Filter:
    if field.element is None:
        raise _complaint(path, "contains is for arrays", "contains")
    if operand is None:
        raise _complaint(path, "contains does not take null", "contains")
    return Compare(path, Op.CONTAINS, _stored(path, operand, field.element))


def _comparison(path: str, operator: str, operand: Any, field: Field) -> Filter:
    if field.kind not in NUMERIC:
        raise _complaint(path, f"{operator} is for int, float and date", operator)
    if operand is None:
        raise _complaint(path, f"{operator} does not take null", operator)
    return Compare(path, _ORDER[operator], _scalar(path, operand, field))


def _scalar(path: str, operand: Any, field: Field) -> Scalar:
    if field.kind is Kind.ARRAY:
        raise _complaint(path, "is an array, whose order cannot be compared", "array")
    return _stored(path, operand, field.kind)


def _stored(path: str, operand: Any, kind: Kind) -> Scalar:
    """Convert `operand` to its stored form, except that every whole number becomes an int.

    An int field may be compared with any float.
    """
    if kind is Kind.INT and isinstance(operand, float):
        kind = Kind.FLOAT
    value: Scalar = coerce_primitive(operand, kind, path)
    if isinstance(value, float) and value.is_integer() and -MAX_INT <= value <= MAX_INT:
        return int(value)
    return value


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _complaint(where: str, rule: str, rule_name: str) -> InvalidParameters:
    return InvalidParameters(f"{where}: {rule}", {"field": where, "rule": rule_name})
