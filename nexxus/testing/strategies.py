"""Hypothesis strategies for objects, filters and their spellings.

Values come mostly from small pools, so that filters and objects meet, and now and then from
anywhere. The pools hold what has a history of going wrong: strings that look alike, NUL and
astral characters, integers near ±2^53, negative zero, the smallest and largest doubles.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from nexxus.domain.objects import Document
from nexxus.domain.schema import NUMERIC, Field, Kind, ModelType, compile_model
from nexxus.domain.values import MAX_INT

RICH_MODEL: Final = compile_model(
    "thing",
    {
        "title": {"type": "string", "filterable": True, "acl": True},
        "note": {"type": "string", "filterable": True, "nullable": True},
        "points": {"type": "int", "filterable": True, "acl": True},
        "rating": {"type": "float", "filterable": True, "nullable": True},
        "isDone": {"type": "boolean", "filterable": True, "nullable": True},
        "dueDate": {"type": "date", "filterable": True, "nullable": True},
        "not": {"type": "int", "filterable": True},
        "tags": {"type": "array", "arrayType": "string", "filterable": True, "nullable": True},
        "scores": {"type": "array", "arrayType": "int", "filterable": True},
        "weights": {"type": "array", "arrayType": "float", "filterable": True},
        "flags": {"type": "array", "arrayType": "boolean", "filterable": True},
        "visits": {"type": "array", "arrayType": "date", "filterable": True},
        "place": {
            "type": "object",
            "nullable": True,
            "properties": {
                "lat": {"type": "float", "filterable": True},
                "town": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "filterable": True},
                        "streets": {"type": "array", "arrayType": "string", "filterable": True},
                    },
                },
            },
        },
        "lines": {"type": "array", "arrayType": "object", "properties": {"n": {"type": "int"}}},
        "secret": {"type": "string"},
    },
)
"""Every kind of field, nested and not; one of them has the name of an operator."""

_STRINGS = ["", "a", "A", "b", "é", "e\u0301", "\x00", "a\x00b", "😀", "\U0010ffff", "\uffff", "1"]
_INTS = [0, 1, -1, 2, 3, 10, MAX_INT, MAX_INT - 1, 1 - MAX_INT, -MAX_INT]
_FLOATS = [0.0, -0.0, 1.0, 1.5, 2.5, -1.5, 0.1, 0.3, 0.1 + 0.2, 5e-324, -5e-324, 1e-300]
_LARGE = [float(MAX_INT), float(MAX_INT - 1), 1e16, 1e300, -1.7976931348623157e308]
_DATES = [0, 1, -1, 86_400, 1_700_000_000, 1_700_000_001, -62_135_596_800, 253_402_300_799]
_DATES_TOO_EARLY_FOR_A_CALENDAR = [-MAX_INT]
_CALENDAR = (-62_135_596_800, 253_402_300_799 - 86_400)

_VALUES: Final[dict[Kind, st.SearchStrategy[Any]]] = {
    Kind.STRING: st.sampled_from(_STRINGS) | st.text(max_size=4),
    Kind.INT: st.sampled_from(_INTS) | st.integers(-MAX_INT, MAX_INT),
    Kind.FLOAT: st.sampled_from([*_FLOATS, *_LARGE])
    | st.floats(allow_nan=False, allow_infinity=False),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.sampled_from([*_DATES, *_DATES_TOO_EARLY_FOR_A_CALENDAR])
    | st.integers(-100_000, 100_000),
}


def documents(model: ModelType = RICH_MODEL) -> st.SearchStrategy[Document]:
    """Stored objects of `model`."""
    identity = {
        "id": st.sampled_from(["1", "2", "a", "A"]),
        "type": st.just(model.name),
        "appId": st.just("app"),
        "createdAt": st.sampled_from(_DATES),
        "updatedAt": st.sampled_from(_DATES),
        "version": st.integers(1, 9),
    }
    owner = {"userId": st.sampled_from(["u1", "u2"])}
    built_in = st.fixed_dictionaries(identity, optional=owner)
    return st.builds(lambda one, other: {**one, **other}, built_in, _objects(model.fields))


def filter_documents(model: ModelType = RICH_MODEL) -> st.SearchStrategy[dict[str, Any]]:
    """Valid FilterQuery documents for `model`, in all spellings."""
    conditions = {path: _conditions(field) for path, field in model.filterable.items()}
    entries = st.sampled_from([*conditions]).flatmap(
        lambda path: st.tuples(st.just(path), conditions[path])
    )
    leaves = st.lists(entries, max_size=3).map(dict)

    def combined(filters: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        parts = st.lists(filters, max_size=3)
        logic = [
            st.fixed_dictionaries({key: filters if name == "not" else parts})
            for name in ("and", "or", "not")
            for key in _keys_of(name, model)
        ]
        return st.builds(lambda one, other: {**one, **other}, st.one_of(logic), leaves)

    return st.recursive(leaves, combined, max_leaves=6)


def respellings(
    document: dict[str, Any], model: ModelType = RICH_MODEL
) -> st.SearchStrategy[dict[str, Any]]:
    """Other documents that the contract declares to be the same filter."""
    return st.randoms(use_true_random=False).map(
        lambda random: _Speller(model, random).respell(document)
    )


def date_form(seconds: int, random: Random) -> int | float | str:
    """One of the ways in which a client may write that moment."""
    if abs(seconds) > MAX_INT // 4:
        return seconds
    forms: list[int | float | str] = [seconds, float(seconds)]
    forms.append(seconds + math.copysign(0.25, seconds))
    if not _CALENDAR[0] <= seconds <= _CALENDAR[1]:
        return random.choice(forms)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    zoneless = moment.replace(tzinfo=None)
    forms += [
        moment.isoformat(),
        moment.astimezone(timezone(timedelta(minutes=345))).isoformat(),
        f"{zoneless.isoformat()}Z",
        zoneless.isoformat(" "),
        zoneless.replace(microsecond=999_999).isoformat(),
    ]
    if moment.second == 0:
        forms.append(zoneless.isoformat(timespec="minutes"))
    if seconds % 86_400 == 0:
        forms.append(moment.date().isoformat())
    return random.choice(forms)


def _objects(fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    required = {name: _stored(field) for name, field in fields.items() if field.required}
    optional = {name: _stored(field) for name, field in fields.items() if not field.required}
    return st.fixed_dictionaries(required, optional=optional)


def _stored(field: Field) -> st.SearchStrategy[Any]:
    values: st.SearchStrategy[Any]
    if field.kind is Kind.OBJECT:
        values = _objects(field.properties)
    elif field.element is Kind.OBJECT:
        values = st.lists(_objects(field.properties), max_size=2)
    elif field.element is not None:
        values = st.lists(_VALUES[field.element], max_size=3)
    else:
        values = _VALUES[field.kind]
    return st.none() | values if field.nullable else values


def _conditions(field: Field) -> st.SearchStrategy[Any]:
    """A bare value, or one to three operators."""
    kind = field.element or field.kind
    operand = _operands(kind)
    with_null = st.none() | operand
    operators: dict[str, st.SearchStrategy[Any]] = {"exists": st.booleans()}
    if field.kind is Kind.ARRAY:
        operators["contains"] = operand
    operators |= dict.fromkeys(("eq", "ne"), with_null)
    operators |= dict.fromkeys(("in", "nin"), st.lists(with_null, max_size=4))
    if field.kind in NUMERIC:
        operators |= dict.fromkeys(("gt", "gte", "lt", "lte"), operand)
    pairs = [
        st.tuples(st.sampled_from([name, f"${name}"]), operands)
        for name, operands in operators.items()
    ]
    several = st.lists(st.one_of(pairs), min_size=1, max_size=3).map(dict)
    return with_null | several


def _operands(kind: Kind) -> st.SearchStrategy[Any]:
    values = _VALUES[kind]
    match kind:
        case Kind.DATE:
            return st.builds(date_form, values, st.randoms(use_true_random=False))
        case Kind.INT:
            return values | _VALUES[Kind.FLOAT]
        case Kind.FLOAT:
            return values | _VALUES[Kind.INT] | st.sampled_from([MAX_INT + 1, 10**20])
        case _:
            return values


def _keys_of(name: str, model: ModelType) -> list[str]:
    return [f"${name}"] if name in model.fields else [f"${name}", name]


class _Speller:
    """Writes a filter in another way, chosen at random."""

    def __init__(self, model: ModelType, random: Random) -> None:
        self._model = model
        self._random = random

    def respell(self, document: dict[str, Any]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for key, value in document.items():
            if key in self._model.filterable:
                parts += self._field(key, value)
            elif key.endswith("not"):
                parts.append({self._logic("not"): self.respell(value)})
            else:
                name = key.removeprefix("$")
                parts.append({self._logic(name): self._shuffled([*map(self.respell, value)])})
        return self._wrapped(self._joined(parts))

    def _field(self, path: str, value: Any) -> list[dict[str, Any]]:
        """The field's conditions as one part or several, together or one by one."""
        field = self._model.filterable[path]
        given = value if isinstance(value, dict) else {"eq": value}
        spelled = [
            self._condition(name.removeprefix("$"), operand, field)
            for name, operand in given.items()
        ]
        self._random.shuffle(spelled)
        parts: list[dict[str, Any]] = []
        together: dict[str, Any] = {}
        for name, operand in spelled:
            dollar = self._random.choice(["", "$"])
            if name == "ne" and self._random.random() < 0.3:
                parts.append({self._logic("not"): {path: operand}})
            elif name == "eq" and self._random.random() < 0.5:
                parts.append({path: operand})
            elif self._random.random() < 0.5 and f"{dollar}{name}" not in together:
                together[f"{dollar}{name}"] = operand
            else:
                parts.append({path: {f"{dollar}{name}": operand}})
        return [*parts, {path: together}] if together else parts

    def _condition(self, name: str, operand: Any, field: Field) -> tuple[str, Any]:
        kind = field.element or field.kind
        match name:
            case "exists":
                return ("ne" if operand else "eq", None) if self._coin() else (name, operand)
            case "in" | "nin":
                values = self._shuffled([self._value(one, kind) for one in operand])
                if len(operand) == 1 and self._coin():
                    return "eq" if name == "in" else "ne", values[0]
                return name, values
            case "eq" | "ne":
                value = self._value(operand, kind)
                if self._coin():
                    return "in" if name == "eq" else "nin", self._shuffled([value])
                return name, value
            case _:
                return name, self._value(operand, kind)

    def _value(self, value: Any, kind: Kind) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if kind is Kind.DATE:
            return date_form(int(value), self._random)
        if float(value).is_integer() and abs(value) <= MAX_INT:
            return self._random.choice([int(value), float(value)])
        return value

    def _shuffled(self, values: list[Any]) -> list[Any]:
        repeated = [*values, self._random.choice(values)] if values and self._coin() else values
        return self._random.sample(repeated, len(repeated))

    def _joined(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        keys = [key for part in parts for key in part]
        if len(set(keys)) == len(keys) and self._coin():
            return {key: value for part in self._shuffled(parts) for key, value in part.items()}
        return {self._logic("and"): self._shuffled(parts)}

    def _wrapped(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document in nesting that changes nothing."""
        negation, either, both = self._logic("not"), self._logic("or"), self._logic("and")
        match self._random.randrange(8):
            case 0:
                return {negation: {negation: document}}
            case 1:
                return {either: [document]}
            case 2:
                return {either: [{either: []}, document]}
            case 3:
                return {both: [document, {}]}
            case _:
                return document

    def _logic(self, name: str) -> str:
        return self._random.choice(_keys_of(name, self._model))

    def _coin(self) -> bool:
        return self._random.random() < 0.5
