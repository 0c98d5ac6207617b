"""JsonPatch: which patches are accepted, their effects, and the patches sent to clients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.patches import apply, parse_patches
from nexxus.domain.schema import compile_model
from nexxus.errors import InvalidParameters

MODEL = compile_model(
    "task",
    {
        "title": {"type": "string", "required": True},
        "note": {"type": "string", "nullable": True},
        "points": {"type": "int"},
        "ratio": {"type": "float"},
        "due": {"type": "date", "nullable": True},
        "tags": {"type": "array", "arrayType": "string"},
        "steps": {"type": "array", "arrayType": "object", "properties": {"n": {"type": "int"}}},
        "place": {
            "type": "object",
            "nullable": True,
            "properties": {
                "lat": {"type": "float"},
                "inner": {"type": "object", "properties": {"deep": {"type": "int"}}},
            },
        },
        "strict": {
            "type": "object",
            "properties": {"a": {"type": "int", "required": True}, "b": {"type": "int"}},
        },
    },
)


def stored(**fields: Any) -> dict[str, Any]:
    base = {"id": "1", "type": "task", "appId": "a", "createdAt": 5, "updatedAt": 5, "version": 3}
    return {**base, "title": "t", **fields}


def run(patch: Any, document: dict[str, Any], now: int = 9) -> dict[str, Any]:
    return apply(parse_patches(patch, MODEL), document, MODEL, now=now)[0]


def follow(  # noqa: C901 - a case per operation
    document: dict[str, Any], changes: list[dict[str, Any]], version: int
) -> dict[str, Any]:
    """A client without the schema, written from the contract; shares no code with `apply`."""
    copied = copy.deepcopy(document)
    for patch in changes:
        for index, path in enumerate(patch["path"]):
            *way, name = path.split(".")
            node = copied
            for part in way:
                node = node[part]
            if patch["op"] == "remove":
                node.pop(name, None)
                continue
            value = copy.deepcopy(patch["value"][index])
            match patch["op"]:
                case "replace":
                    node[name] = value
                case "append" if isinstance(node[name], list):
                    node[name] += value if isinstance(value, list) else [value]
                case "append":
                    node[name] += value
                case "prepend" if isinstance(node[name], list):
                    node[name] = (value if isinstance(value, list) else [value]) + node[name]
                case "prepend":
                    node[name] = value + node[name]
                case "incr":
                    node[name] += value
                case "decr":
                    node[name] -= value
    copied["version"] = version
    return copied


def test_each_of_several_paths_takes_its_own_value() -> None:
    after = run({"op": "replace", "path": ["title", "points"], "value": ["x", 4]}, stored())
    assert (after["title"], after["points"], after["version"]) == ("x", 4, 4)


def test_a_single_path_takes_a_list_as_its_value() -> None:
    assert run({"op": "replace", "path": "tags", "value": ["a"]}, stored())["tags"] == ["a"]
    after = run({"op": "append", "path": "tags", "value": ["b", "c"]}, stored(tags=["a"]))
    assert after["tags"] == ["a", "b", "c"]


def test_prepended_elements_keep_their_order() -> None:
    after = run({"op": "prepend", "path": "tags", "value": ["x", "y"]}, stored(tags=["a"]))
    assert after["tags"] == ["x", "y", "a"]


def test_unset_counts_as_empty_and_as_zero() -> None:
    after = run(
        [
            {"op": "append", "path": "note", "value": "hi"},
            {"op": "decr", "path": "points", "value": 2},
            {"op": "append", "path": "steps", "value": {"n": 1}},
        ],
        stored(note=None),
    )
    assert (after["note"], after["points"], after["steps"]) == ("hi", -2, [{"n": 1}])


def test_an_emptied_parent_stays() -> None:
    after = run({"op": "remove", "path": "place.lat"}, stored(place={"lat": 1.0}))
    assert after["place"] == {}


def test_updated_at_never_decreases() -> None:
    assert run({"op": "incr", "path": "points", "value": 1}, stored(), now=2)["updatedAt"] == 5


def test_a_created_parent_needs_its_required_fields() -> None:
    with pytest.raises(InvalidParameters, match=r"strict\.a is required"):
        run({"op": "replace", "path": "strict.b", "value": 1}, stored())
    whole = [
        {"op": "replace", "path": "strict.b", "value": 1},
        {"op": "replace", "path": "strict.a", "value": 2},
    ]
    assert run(whole, stored())["strict"] == {"b": 1, "a": 2}


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ([], "patch"),
        ({"op": "replace", "path": [], "value": []}, "path"),
        ({"op": "replace", "path": "nope", "value": 1}, "nope"),
        ({"op": "replace", "path": "id", "value": "2"}, "id"),
        ({"op": "replace", "path": "points", "value": "x"}, "points"),
        ({"op": "replace", "path": ["title", "points"], "value": ["x"]}, "value"),
        ({"op": "replace", "path": "title"}, "value"),
        ({"op": "remove", "path": "title"}, "title"),
        ({"op": "remove", "path": "note", "value": None}, "value"),
        ({"op": "incr", "path": "title", "value": 1}, "title"),
        ({"op": "append", "path": "points", "value": 1}, "points"),
        ({"op": "append", "path": "steps", "value": [{"n": 1}]}, "steps"),
        ({"op": "paint", "path": "title", "value": 1}, "op"),
        ({"op": "replace", "path": "title", "value": "x", "if": 1}, "if"),
        ({"op": "replace", "path": "title", "value": None}, "title"),
        ("replace", "patch"),
    ],
)
def test_an_invalid_patch_is_refused_by_field(patch: Any, named: str) -> None:
    with pytest.raises(InvalidParameters, match=named):
        parse_patches(patch, MODEL)


def test_a_result_out_of_range_is_refused_and_nothing_is_modified() -> None:
    document = stored(points=2**53, ratio=1.7e308)
    untouched = copy.deepcopy(document)
    for path, value in (("points", 1), ("ratio", 1.7e308)):
        with pytest.raises(InvalidParameters, match=path):
            run({"op": "incr", "path": path, "value": value}, document)
    assert document == untouched


small = st.integers(-5, 5)
texts = st.text(max_size=3)
PATHS: dict[str, st.SearchStrategy[Any]] = {
    "title": texts,
    "note": st.none() | texts,
    "points": small,
    "ratio": st.floats(-9, 9),
    "due": st.none() | small,
    "tags": st.lists(texts, max_size=2),
    "steps": st.lists(st.fixed_dictionaries({"n": small}), max_size=2),
    "place": st.none() | st.fixed_dictionaries({}, optional={"lat": st.floats(-9, 9)}),
    "place.lat": st.floats(-9, 9),
    "place.inner": st.fixed_dictionaries({}, optional={"deep": small}),
    "place.inner.deep": small,
}


@st.composite
def patches(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(sorted(PATHS)))
    ops = ["replace"]
    if path != "title":
        ops.append("remove")
    if path in ("points", "ratio", "due", "place.lat", "place.inner.deep"):
        ops += ["incr", "decr"]
    if path in ("title", "note", "tags", "steps"):
        ops += ["append", "prepend"]
    op = draw(st.sampled_from(ops))
    if op == "remove":
        return {"op": op, "path": path}
    if op == "replace":
        value = draw(PATHS[path])
    elif op in ("incr", "decr"):
        value = draw(small)
    elif path == "steps":
        value = draw(st.fixed_dictionaries({"n": small}))
    elif path == "tags":
        value = draw(texts | st.lists(texts, max_size=3))
    else:
        value = draw(texts)
    return {"op": op, "path": path, "value": value}


documents = st.fixed_dictionaries(
    {}, optional={path: PATHS[path] for path in PATHS if "." not in path and path != "title"}
).map(lambda fields: stored(**fields))


@given(documents, st.lists(patches(), min_size=1, max_size=6))
def test_the_sent_patches_turn_any_copy_into_exactly_the_new_object(
    document: dict[str, Any], body: list[dict[str, Any]]
) -> None:
    before = copy.deepcopy(document)
    parsed = parse_patches(body, MODEL)
    after, changes = apply(parsed, document, MODEL, now=9)
    assert document == before
    assert follow(document, changes, after["version"]) == after
    again, _ = apply(parsed, document, MODEL, now=9)
    assert again == after
