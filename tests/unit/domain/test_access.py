"""Access control: what roles permit, and which roles are invalid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.access import Access, Action, Caller, parse_roles
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter
from nexxus.domain.schema import compile_model
from nexxus.errors import InvalidParameters

contract = partial(pytest.mark.contract, "2. Applications and schemas")

TASK = compile_model(
    "task",
    {
        "status": {"type": "string", "filterable": True, "acl": True},
        "points": {"type": "int", "filterable": True, "acl": True},
        "rate": {"type": "float", "filterable": True, "acl": True},
        "isDone": {"type": "boolean", "filterable": True, "acl": True},
        "tags": {"type": "array", "arrayType": "string", "filterable": True, "acl": True},
        "title": {"type": "string", "filterable": True},
        "note": {"type": "string", "acl": True},
        "place": {
            "type": "object",
            "properties": {"town": {"type": "string", "filterable": True, "acl": True}},
        },
    },
)
MODELS = {"task": TASK, "memo": compile_model("memo", {})}
ANN = Caller("app", "ann", "member")


def statement(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"effect": effect, "action": ["*"], "resource": ["*"], **more}


def only(*names: str, operator: str = "StringEquals", **fields: Any) -> dict[str, Any]:
    """An Allow statement with one condition, for the named models or for ``task``."""
    return statement(resource=list(names or ["task"]), condition={operator: fields})


def access(*roles: Sequence[dict[str, Any]], enabled: bool = True, **grants: Any) -> Access:
    """Roles with these statements, named "0", "1"…; the user type ``member`` has all of them."""
    document = {str(i): {"statements": list(role)} for i, role in enumerate(roles)}
    return Access(
        enabled=enabled,
        roles=parse_roles(document, MODELS),
        grants={"member": list(document), **grants},
        models=MODELS,
    )


def rows(*statements: dict[str, Any], caller: Caller = ANN, model: str = "task") -> Filter:
    return access(statements).decide(caller, Action.GET, model)


def permits(filter: Filter, **row: Any) -> bool:
    return compile_matcher(filter)(row)


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        *((str(action), {action}) for action in Action),
        ("read", {Action.GET, Action.SEARCH, Action.COUNT, Action.SUBSCRIBE}),
        ("write", {Action.CREATE, Action.UPDATE, Action.DELETE}),
        ("*", set(Action)),
        (["get", "write"], {Action.GET, Action.CREATE, Action.UPDATE, Action.DELETE}),
    ],
)
def test_a_statement_covers_only_its_actions(names: Any, meant: set[Action]) -> None:
    of = access([statement(action=names)])

    assert {action for action in Action if of.decide(ANN, action, "task") != NOTHING} == meant


def test_a_statement_covers_only_its_models() -> None:
    assert rows(statement(resource=["memo", "task"])) == EVERYTHING
    assert rows(statement(resource="memo")) == NOTHING


@contract("roles: a Deny overrides")
@pytest.mark.parametrize("deny_first", [True, False])
def test_a_deny_overrides_any_allow_in_either_order(deny_first: bool) -> None:
    allow, deny = [statement(), only(status=["open"])], [statement("Deny", action="delete")]
    of = access(deny, allow) if deny_first else access(allow, deny)

    assert of.decide(ANN, Action.DELETE, "task") == NOTHING
    assert of.decide(ANN, Action.UPDATE, "task") == EVERYTHING


def test_conditional_allows_of_all_roles_are_combined_with_or() -> None:
    of = access([only(status=["open"])], [only(userId=["$nxx:userId"])])
    found = of.decide(ANN, Action.GET, "task")

    assert permits(found, status="open", userId="bob")
    assert permits(found, status="done", userId="ann")
    assert not permits(found, status="done", userId="bob")


def test_a_condition_applies_only_to_the_models_of_its_statement() -> None:
    statements = [only(status=["open"]), statement(resource=["memo"])]

    assert rows(*statements, model="memo") == EVERYTHING
    assert not permits(rows(*statements), status="done")


@contract("roles: conditions")
@pytest.mark.parametrize(
    ("operator", "fields", "row", "permitted"),
    [
        ("StringEquals", {"status": ["open"]}, {}, False),
        ("StringNotEquals", {"status": ["open"]}, {}, True),
        ("NumericEquals", {"points": [1.0, 2]}, {"points": 1}, True),
        ("NumericEquals", {"rate": [1]}, {"rate": 1.0}, True),
        ("NumericEquals", {"points": [0]}, {}, False),
        ("NumericNotEquals", {"points": [1, 2]}, {"points": 2}, False),
        ("NumericNotEquals", {"points": [0]}, {}, True),
        ("NumericEquals", {"createdAt": ["1970-01-02"]}, {"createdAt": 86_400}, True),
        ("StringEquals", {"place.town": ["Bonn"]}, {"place": {"town": "Bonn"}}, True),
        ("StringEquals", {"place.town": ["Bonn"]}, {"place": None}, False),
        ("StringEquals", {"status": ["a"], "id": ["1"]}, {"status": "a", "id": "1"}, True),
        ("StringEquals", {"status": ["a"], "id": ["1"]}, {"status": "a", "id": "2"}, False),
    ],
)
def test_an_object_must_meet_every_part_of_a_condition(
    operator: str, fields: Any, row: dict[str, Any], permitted: bool
) -> None:
    assert permits(rows(only(operator=operator, **fields)), **row) is permitted


strings = st.sampled_from(["", "a", "A", "b"])


@contract("roles: conditions")
@given(st.lists(strings, min_size=1), st.none() | strings)
def test_the_field_equals_one_of_the_values_or_none_for_a_not_operator(
    values: list[str], status: str | None
) -> None:
    equal, differ = only(status=values), only(operator="StringNotEquals", status=values)

    assert permits(rows(equal), status=status) is (status in values)
    assert permits(rows(differ), status=status) is (status not in values)


@contract("roles: conditions")
def test_the_operators_and_the_filter_of_a_condition_must_all_hold() -> None:
    condition = {
        "StringEquals": {"status": ["open"]},
        "NumericNotEquals": {"points": [1]},
        "filter": {"$or": [{"points": {"gt": 5}}, {"place.town": {"exists": True}}]},
    }
    found = rows(statement(resource=["task"], condition=condition))

    assert permits(found, status="open", points=6)
    assert permits(found, status="open", points=2, place={"town": "Bonn"})
    assert not permits(found, status="open", points=2)
    assert not permits(found, status="open", points=1, place={"town": "Bonn"})
    assert not permits(found, status="done", points=6)


@contract("roles: conditions")
@pytest.mark.parametrize(
    ("variable", "value"),
    [("$nxx:userId", "ann"), ("$nxx:userType", "member"), ("$nxx:appId", "app")],
)
@pytest.mark.parametrize(
    "condition",
    [
        lambda variable: {"StringEquals": {"status": ["x", variable]}},
        lambda variable: {"filter": {"$not": {"$or": [{"status": {"nin": ["x", variable]}}]}}},
    ],
)
def test_a_variable_is_replaced_by_the_callers_value(
    variable: str, value: str, condition: Any
) -> None:
    found = rows(statement(resource=["task"], condition=condition(variable)))

    assert permits(found, status=value)
    assert permits(found, status="x")
    assert not permits(found, status=variable)


def test_each_caller_gets_its_own_decision() -> None:
    of = access([only(userId=["$nxx:userId"])])

    for name, other in (("ann", "bob"), ("bob", "ann"), ("ann", "bob")):
        found = of.decide(Caller("app", name, "member"), Action.GET, "task")
        assert permits(found, userId=name)
        assert not permits(found, userId=other)


def test_a_caller_without_a_user_does_not_own_objects_without_a_user() -> None:
    assert rows(only(userId=["$nxx:userId"]), caller=Caller("app", None, "member")) == NOTHING


@contract("roles: anything not allowed is denied")
@pytest.mark.parametrize(
    ("user_type", "permitted"),
    [("default", EVERYTHING), ("idle", NOTHING), ("unheard", NOTHING), (None, NOTHING)],
)
def test_without_roles_default_may_do_everything_and_other_types_nothing(
    user_type: str | None, permitted: Filter
) -> None:
    of = access([statement()], default=[], idle=[])

    assert of.decide(Caller("app", "ann", user_type), Action.GET, "task") == permitted


@contract("roles: anything not allowed is denied")
def test_default_with_roles_may_do_only_what_they_allow() -> None:
    of = access([statement(action=["get"])], default=["0"])

    assert of.decide(Caller("app", "ann", "default"), Action.GET, "task") == EVERYTHING
    assert of.decide(Caller("app", "ann", "default"), Action.DELETE, "task") == NOTHING


def test_without_access_control_everything_is_allowed() -> None:
    of = access([statement("Deny")], enabled=False)

    assert of.decide(Caller("app"), Action.DELETE, "task") == EVERYTHING


STATEMENT = "roles.0.statements[0]"
CONDITION = f"{STATEMENT}.condition"


@contract("roles: conditions")
@pytest.mark.parametrize(
    ("refused", "place", "rule"),
    [
        ("Allow", STATEMENT, "an object"),
        (statement("allow"), f"{STATEMENT}.effect", "Allow or Deny"),
        (statement(efect="Allow"), f"{STATEMENT}.efect", "'effect'"),
        (statement(action=["get", "list"]), f"{STATEMENT}.action", "'list' is not one of create"),
        (statement(action=[]), f"{STATEMENT}.action", "a list of names"),
        (statement(resource=["task", "tsak"]), f"{STATEMENT}.resource", "'tsak' is not a model"),
        (statement(resource=[1]), f"{STATEMENT}.resource", "a list of names"),
        (statement("Deny", condition={"StringEquals": {"id": ["1"]}}), CONDITION, "only an Allow"),
        (statement(condition={}), CONDITION, "an operator or a filter"),
        (only(operator="StringLike", id=["1"]), CONDITION, "'StringLike' is not one of"),
        (only(), CONDITION, "an object of fields"),
        (only(status=[]), CONDITION, "status: StringEquals needs a list"),
        (only(status=[1]), CONDITION, "status: expected a string"),
        (only(points=["1"]), CONDITION, "points: StringEquals cannot be used"),
        (only(tags=["a"]), CONDITION, "tags: StringEquals cannot be used"),
        (only(operator="NumericEquals", status=[1]), CONDITION, "status: NumericEquals cannot"),
        (only(operator="NumericEquals", points=["1"]), CONDITION, "points: expected an integer"),
        (only(operator="NumericEquals", isDone=[1]), CONDITION, "isDone: NumericEquals cannot"),
        (only(title=["a"]), CONDITION, "title: cannot be used in a condition"),
        (only(note=["a"]), CONDITION, "note: cannot be used in a condition"),
        (only("*", status=["open"]), CONDITION, "status: cannot be used in a condition"),
        (only("task", "memo", status=["open"]), CONDITION, "status: cannot be used in a condition"),
        (only(operator="NumericEquals", updatedAt=[1]), CONDITION, "updatedAt: cannot be"),
        (only(operator="filter", title="a"), CONDITION, "title"),
        (only(operator="filter", status={"like": "a"}), CONDITION, "status: 'like'"),
    ],
)
def test_an_invalid_statement_is_refused_with_its_path(refused: Any, place: str, rule: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        access([refused])

    assert refusal.value.message.startswith(f"{place}: ")
    assert refusal.value.details == {"field": place}
    assert rule in refusal.value.message


def test_a_condition_for_every_model_must_be_valid_for_each() -> None:
    """A field named like an operator takes precedence over it."""
    models = {**MODELS, "hiding": compile_model("hiding", {"or": {"type": "string"}})}
    condition = {"filter": {"or": [{"userId": "$nxx:userId"}]}}
    roles = {"a": {"statements": [statement(condition=condition)]}}

    parse_roles(roles, MODELS)
    with pytest.raises(InvalidParameters, match="or: "):
        parse_roles(roles, models)


@pytest.mark.parametrize(
    ("roles", "place"),
    [
        ([], "roles"),
        ({"a": []}, "roles.a"),
        ({"a": {"statements": {}}}, "roles.a"),
        ({"a": {"statements": [], "statments": []}}, "roles.a.statments"),
        ({"a": {"statements": [statement(), 1]}}, "roles.a.statements[1]"),
    ],
)
def test_an_invalid_role_is_refused_with_its_path(roles: Any, place: str) -> None:
    with pytest.raises(InvalidParameters, match=rf"^{re.escape(place)}: ") as refusal:
        parse_roles(roles, MODELS)

    assert refusal.value.details == {"field": place}
