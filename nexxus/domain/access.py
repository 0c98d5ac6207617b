"""Access control: which objects a caller may act on.

Roles are compiled once per application. `Access.decide` returns a filter for a caller, an action
and a model: the objects for which the action is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from nexxus.domain.filter_parser import parse_filter
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter, conjoin, disjoin
from nexxus.domain.misfits import check_keys, misfit
from nexxus.domain.schema import Field, Kind, ModelType, build_model
from nexxus.errors import InvalidParameters


class Action(StrEnum):
    """An action that a statement allows or denies."""

    CREATE = "create"
    GET = "get"
    SEARCH = "search"
    COUNT = "count"
    UPDATE = "update"
    DELETE = "delete"
    SUBSCRIBE = "subscribe"


_READ: Final = frozenset({Action.GET, Action.SEARCH, Action.COUNT, Action.SUBSCRIBE})
_WRITE: Final = frozenset({Action.CREATE, Action.UPDATE, Action.DELETE})
_ACTIONS: Final[dict[str, frozenset[Action]]] = {
    **{str(action): frozenset({action}) for action in Action},
    "read": _READ,
    "write": _WRITE,
    "*": frozenset(Action),
}
_OPERATORS: Final = {
    "StringEquals": (Kind.STRING, False),
    "StringNotEquals": (Kind.STRING, True),
    "NumericEquals": (Kind.FLOAT, False),
    "NumericNotEquals": (Kind.FLOAT, True),
}
_VARIABLES: Final = ("$nxx:userId", "$nxx:userType", "$nxx:appId")
_ANY_MODEL: Final = build_model("*", {})


class Caller(msgspec.Struct, frozen=True):
    """The caller whose access is decided; `user_id` is None if the application has no users."""

    app_id: str
    user_id: str | None = None
    user_type: str | None = None


class Statement(msgspec.Struct, frozen=True):
    """One compiled statement; variables in `condition` are not substituted yet."""

    allow: bool
    actions: frozenset[Action]
    resources: frozenset[str] | None
    condition: dict[str, Any] | None

    def covers(self, action: Action, model: str) -> bool:
        """Return whether the statement applies to this action on this model."""
        return action in self.actions and (self.resources is None or model in self.resources)


class Access:
    """An application's compiled roles, and the roles granted to each user type.

    `enabled` is ``auth.acl``; if it is False, everything is allowed.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        roles: Mapping[str, Sequence[Statement]],
        grants: Mapping[str, Sequence[str]],
        models: Mapping[str, ModelType],
    ) -> None:
        self._enabled = enabled
        self._models = models
        self._statements = {
            user_type: [statement for role in names for statement in roles[role]]
            for user_type, names in grants.items()
            if names
        }
        self._decided: dict[tuple[Caller, Action, str], Filter] = {}

    def decide(self, caller: Caller, action: Action, model: str) -> Filter:
        """Return a filter for the objects of `model` on which the caller may perform `action`.

        With `EVERYTHING` or `NOTHING`, no object needs to be examined.
        """
        if not self._enabled:
            return EVERYTHING
        key = (caller, action, model)
        decided = self._decided.get(key)
        if decided is None:
            if len(self._decided) >= 10_000:
                self._decided.clear()
            decided = self._decided[key] = self._decide(caller, action, model)
        return decided

    def _decide(self, caller: Caller, action: Action, model: str) -> Filter:
        statements = self._statements.get(caller.user_type or "")
        if statements is None:  # a user type without roles, or no user
            return EVERYTHING if caller.user_type == "default" else NOTHING
        applicable = [statement for statement in statements if statement.covers(action, model)]
        if any(not statement.allow for statement in applicable):
            return NOTHING
        return disjoin(*(self._rows(statement, caller, model) for statement in applicable))

    def _rows(self, statement: Statement, caller: Caller, model: str) -> Filter:
        if statement.condition is None:
            return EVERYTHING
        return compile_condition(statement.condition, self._models[model], caller)


def parse_roles(document: Any, models: Mapping[str, ModelType]) -> dict[str, tuple[Statement, ...]]:
    """Compile the ``roles`` of an application document.

    Raises `InvalidParameters`, which names the role, the statement and the rule.
    """
    if not isinstance(document, dict):
        raise misfit("roles", "expected an object of roles")
    roles = {}
    for name, role in document.items():
        where = f"roles.{name}"
        if not isinstance(role, dict) or not isinstance(role.get("statements"), list):
            raise misfit(where, "expected an object with a list of 'statements'")
        check_keys(role, {"statements", "description"}, where)
        roles[name] = tuple(
            _parse_statement(statement, f"{where}.statements[{i}]", models)
            for i, statement in enumerate(role["statements"])
        )
    return roles


def _parse_statement(document: Any, where: str, models: Mapping[str, ModelType]) -> Statement:
    if not isinstance(document, dict):
        raise misfit(where, "expected an object")
    check_keys(document, {"effect", "action", "resource", "condition"}, where)
    effect = document.get("effect")
    if effect not in ("Allow", "Deny"):
        raise misfit(f"{where}.effect", "expected Allow or Deny")
    actions: set[Action] = set()
    for name in _names(document, "action", where):
        if name not in _ACTIONS:
            raise misfit(f"{where}.action", f"{name!r} is not one of {', '.join(_ACTIONS)}")
        actions |= _ACTIONS[name]
    resources = _names(document, "resource", where)
    for name in resources:
        if name != "*" and name not in models:
            raise misfit(f"{where}.resource", f"{name!r} is not a model of the schema")
    named = None if "*" in resources else frozenset(resources)
    condition = document.get("condition")
    if condition is not None:
        if effect == "Deny":
            raise misfit(f"{where}.condition", "only an Allow statement may have a condition")
        _check_condition(condition, f"{where}.condition", named, models)
    return Statement(effect == "Allow", frozenset(actions), named, condition)


def _names(document: dict[str, Any], key: str, where: str) -> list[str]:
    names = document.get(key)
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise misfit(f"{where}.{key}", "expected a list of names")
    return names


def _check_condition(
    condition: Any,
    where: str,
    resources: frozenset[str] | None,
    models: Mapping[str, ModelType],
) -> None:
    """Compile the condition for each of its models, with example values for the variables."""
    if not isinstance(condition, dict) or not condition:
        raise misfit(where, "expected an object with an operator or a filter")
    example = Caller("application", "user", "type")
    # A condition for every model may use only the fields that all models have. It must also be
    # valid for each model, because a field's name may equal an operator's.
    named = models.keys() if resources is None else resources
    anywhere = [_ANY_MODEL] if resources is None else []
    for model in (*anywhere, *(models[name] for name in sorted(named))):
        try:
            compile_condition(condition, model, example)
        except InvalidParameters as error:
            raise misfit(where, error.message) from None


def compile_condition(condition: Mapping[str, Any], model: ModelType, caller: Caller) -> Filter:
    """Compile a condition to a filter for this caller; operators and fields are *and*-combined."""
    allowed = _restricted(model)
    parts = []
    for operator, fields in condition.items():
        if operator == "filter":
            parts.append(parse_filter(_substitute(fields, caller), allowed))
            continue
        if operator not in _OPERATORS:
            known = ", ".join((*_OPERATORS, "filter"))
            raise InvalidParameters(f"{operator!r} is not one of {known}")
        if not isinstance(fields, dict) or not fields:
            raise misfit(operator, "expected an object of fields")
        for path, values in fields.items():
            parts.append(_compile_comparison(operator, path, values, allowed, caller))
    return conjoin(*parts)


def _compile_comparison(
    operator: str, path: str, values: Any, model: ModelType, caller: Caller
) -> Filter:
    kind, negated = _OPERATORS[operator]
    field = model.filterable.get(path)
    if field is None:
        raise misfit(
            path,
            "cannot be used in a condition; use id, userId, createdAt or, if the statement names "
            "its models, a field that is both filterable and acl",
        )
    textual = field.kind is Kind.STRING
    if textual != (kind is Kind.STRING) or field.kind in (Kind.ARRAY, Kind.BOOLEAN):
        raise misfit(path, f"{operator} cannot be used with a field of this type")
    if not isinstance(values, list) or not values:
        raise misfit(path, f"{operator} needs a list of values")
    substituted = [_substitute(value, caller) for value in values]
    # In a filter, null matches a missing field. In a condition, a missing field equals nothing.
    substituted = [value for value in substituted if value is not None]
    return parse_filter({path: {"nin" if negated else "in": substituted}}, model)


def _restricted(model: ModelType) -> ModelType:
    """Return the model with only those fields filterable that a condition may use."""
    allowed: dict[str, Field] = {
        path: field for path, field in model.filterable.items() if path in model.acl
    }
    return msgspec.structs.replace(model, filterable=allowed)


def _substitute(value: Any, caller: Caller) -> Any:
    """Replace the variables with the caller's values, at any depth."""
    if isinstance(value, str) and value in _VARIABLES:
        return {
            "$nxx:userId": caller.user_id,
            "$nxx:userType": caller.user_type,
            "$nxx:appId": caller.app_id,
        }[value]
    if isinstance(value, dict):
        return {key: _substitute(entry, caller) for key, entry in value.items()}
    if isinstance(value, list):
        return [_substitute(entry, caller) for entry in value]
    return value
