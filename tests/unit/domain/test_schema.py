"""Schemas: which are accepted, what they mean, and their error messages."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from nexxus.domain.schema import Field, Kind, compile_fields, compile_model, retyped_paths
from nexxus.errors import InvalidParameters

contract = partial(pytest.mark.contract, "2. Applications and schemas")

STRING = {"type": "string"}
BUILT_IN = {"id", "userId", "createdAt", "updatedAt"}


def objects(properties: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def arrays(element: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "arrayType": element, **more}


def nested(levels: int) -> dict[str, Any]:
    field: dict[str, Any] = STRING
    for _ in range(levels):
        field = objects({"a": field})
    return {"a": field}


TREE = {
    "title": {**STRING, "filterable": True, "acl": True},
    "note": {**STRING, "acl": True},
    "tags": arrays("string", filterable=True),
    "place": objects(
        {"lat": {"type": "float", "filterable": True, "acl": True}, "town": objects({"x": STRING})}
    ),
    "lines": arrays("object", properties={"n": {"type": "int"}}),
}


@contract("the short form of a model")
def test_the_short_form_equals_the_long_one_without_options() -> None:
    assert compile_model("task", TREE) == compile_model("task", {"fields": TREE})


@contract("the short form of a model")
def test_a_field_named_fields_is_recognised_by_its_type() -> None:
    assert compile_model("task", {"fields": STRING}).fields == {"fields": Field(Kind.STRING)}


def test_a_field_is_optional_not_nullable_and_not_filterable_by_default() -> None:
    said = {"type": "int", "required": True, "nullable": True, "filterable": True, "acl": True}

    fields = compile_model("task", {"a": {"type": "int"}, "b": said}).fields

    assert fields["a"] == Field(Kind.INT, required=False, nullable=False, filterable=False)
    assert fields["b"] == Field(Kind.INT, required=True, nullable=True, filterable=True, acl=True)


@contract("field types")
def test_a_number_is_a_float() -> None:
    fields = compile_model("task", {"a": {"type": "number"}, "b": arrays("number")}).fields

    assert fields["a"].kind is Kind.FLOAT
    assert fields["b"].element is Kind.FLOAT


def test_paths_lead_into_objects_but_not_into_arrays() -> None:
    paths = compile_model("task", TREE).paths

    inner = {"place.lat", "place.town", "place.town.x"}
    assert paths.keys() == {"title", "note", "tags", "place", "lines"} | inner


def test_filters_may_use_the_built_in_and_the_filterable_fields() -> None:
    assert compile_model("task", TREE).filterable.keys() == BUILT_IN | {
        "title",
        "tags",
        "place.lat",
    }


def test_conditions_may_use_only_fields_that_are_acl_and_filterable() -> None:
    model = compile_model("task", TREE)

    assert model.acl == {"id", "userId", "createdAt", "title", "place.lat"}


@contract("models that are not subscribable")
def test_all_primitives_of_a_model_that_is_not_subscribable_are_filterable() -> None:
    fields = {**TREE, "plain": arrays("string")}

    model = compile_model("task", {"fields": fields, "subscribable": False})

    primitives = {"title", "note", "place.lat", "place.town.x"}
    assert model.filterable.keys() == BUILT_IN | primitives | {"tags"}
    assert not model.subscribable


def test_a_transient_model_must_be_subscribable() -> None:
    model = compile_model("typing", {"fields": {"by": STRING}, "transient": True})

    assert model.transient
    assert model.subscribable


@contract("names of models and fields")
@pytest.mark.parametrize("name", ["a", "Z", "a1_B", "a" * 64])
def test_a_name_is_a_letter_and_up_to_63_letters_digits_and_underscores(name: str) -> None:
    assert compile_model(name, {name: STRING}).fields.keys() == {name}


@contract("names of models and fields")
@contract("constructor and prototype are no names")
@pytest.mark.parametrize(
    "name",
    ["", "1a", "_a", "a-b", "a.b", "$a", "a b", "é", "a\n", "a" * 65, "constructor", "prototype"],
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameters, match="is not a valid name") as refusal:
        compile_model(name, {})
    assert refusal.value.details == {"field": f"schema.{name}"}

    with pytest.raises(InvalidParameters, match="is not a valid name") as refusal:
        compile_model("task", {"a": objects({name: STRING})})
    assert refusal.value.details == {"field": f"schema.task.a.properties.{name}"}


@contract("names of models and fields")
@pytest.mark.parametrize("name", ["count", "user", "application", "device", "setting", "acl"])
def test_a_model_cannot_be_named_like_a_route(name: str) -> None:
    with pytest.raises(InvalidParameters, match=rf"^schema\.{name}: the name is reserved"):
        compile_model(name, TREE)
    compile_model("task", {name: STRING})


@contract("names of models and fields")
@pytest.mark.parametrize(
    "name", ["id", "type", "appId", "userId", "createdAt", "updatedAt", "version"]
)
def test_names_of_built_in_fields_may_be_used_only_within_objects(name: str) -> None:
    with pytest.raises(InvalidParameters, match=rf"^schema\.task\.fields\.{name}: .*reserved"):
        compile_model("task", {"fields": {name: STRING}})
    compile_model("task", {"inner": objects({name: STRING})})
    compile_fields({name: STRING}, "auth.userDetailSchema.default")


def test_objects_may_be_nested_16_levels_and_no_deeper() -> None:
    compile_model("task", nested(16))

    with pytest.raises(InvalidParameters, match="more than 16 levels"):
        compile_model("task", nested(17))


@contract("field types")
@pytest.mark.parametrize(
    ("document", "place", "rule"),
    [
        ([], "schema.task", "expected an object"),
        (None, "schema.task", "expected an object"),
        ({"fields": []}, "schema.task.fields", "expected an object"),
        ({"fields": {}, "subscribeable": True}, "schema.task.subscribeable", "'subscribable'"),
        ({"fields": {}, "transient": 1}, "schema.task.transient", "true or false"),
        ({"fields": {}, "subscribable": None}, "schema.task.subscribable", "true or false"),
        ({"fields": {}, "transient": True, "subscribable": False}, "schema.task", "subscribable"),
        ({"a": "string"}, "schema.task.a", "'type'"),
        ({"a": {}}, "schema.task.a.type", "expected one of array, boolean, date"),
        ({"a": {"type": "text"}}, "schema.task.a.type", "string"),
        ({"a": {"type": ["string"]}}, "schema.task.a.type", "string"),
        ({"a": {**STRING, "nulable": True}}, "schema.task.a.nulable", "'nullable'"),
        ({"a": {**STRING, "required": "yes"}}, "schema.task.a.required", "true or false"),
        ({"a": {**STRING, "acl": None}}, "schema.task.a.acl", "true or false"),
        ({"a": {**STRING, "arrayType": "int"}}, "schema.task.a.arrayType", "only a field"),
        ({"a": {**STRING, "properties": {}}}, "schema.task.a.properties", "only objects"),
        ({"a": arrays("int", properties={})}, "schema.task.a.properties", "only objects"),
        ({"a": {"type": "array"}}, "schema.task.a.arrayType", "expected one of"),
        ({"a": arrays("array")}, "schema.task.a.arrayType", "arrays of arrays"),
        ({"a": arrays("object")}, "schema.task.a", "'properties'"),
        ({"a": {"type": "object"}}, "schema.task.a", "'properties'"),
        ({"a": objects([])}, "schema.task.a.properties", "expected an object"),
        ({"a": objects({"b": 1})}, "schema.task.a.properties.b", "'type'"),
        ({"a": objects({}, filterable=True)}, "schema.task.a.filterable", "primitives"),
        (
            {
                "a": arrays(
                    "object", properties={"b": objects({"c": {**STRING, "filterable": True}})}
                )
            },
            "schema.task.a.properties.b.properties.c.filterable",
            "inside an array",
        ),
        (
            {"a": arrays("object", properties={}, filterable=True)},
            "schema.task.a.filterable",
            "primitives",
        ),
    ],
)
def test_an_invalid_schema_is_refused_with_the_path(document: Any, place: str, rule: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        compile_model("task", document)

    assert refusal.value.message.startswith(f"{place}: ")
    assert refusal.value.details == {"field": place}
    assert rule in refusal.value.message


@contract("a schema must fit what is stored")
@pytest.mark.parametrize(
    ("former", "present", "retyped"),
    [
        ({"type": "int"}, {"type": "float"}, []),
        ({"type": "float"}, {"type": "int"}, ["a"]),
        ({"type": "int"}, {"type": "date"}, ["a"]),
        (arrays("int"), arrays("float"), []),
        (arrays("int"), arrays("date"), ["a"]),
        (STRING, arrays("string"), ["a"]),
        (STRING, {**STRING, "required": True, "filterable": True}, []),
        (objects({"b": STRING, "c": STRING}), objects({"b": {"type": "date"}}), ["a.b"]),
        (nested(2)["a"], nested(3)["a"], ["a.a.a"]),
        (
            arrays("object", properties={"b": STRING}),
            arrays("object", properties={"b": {"type": "date"}}),
            ["a"],
        ),
    ],
)
def test_a_field_is_retyped_unless_an_int_became_a_float(
    former: Any, present: Any, retyped: list[str]
) -> None:
    was = compile_model("task", {"a": former, "removed": STRING})
    is_now = compile_model("task", {"a": present, "added": STRING})

    assert retyped_paths(was.fields, is_now.fields) == retyped
