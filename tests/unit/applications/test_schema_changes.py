"""A schema must fit stored objects: a change that invalidates an object is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from memory_database import MemoryDatabase

from nexxus.applications.schema_changes import check_stored_objects
from nexxus.domain.application import Application, parse_application
from nexxus.domain.objects import ObjectKey, build_object
from nexxus.errors import InvalidParameters
from nexxus.interfaces.database import Mutation, Record

contract = partial(
    pytest.mark.contract, "2. Applications and schemas", "a schema must fit what is stored"
)

STRING = {"type": "string"}


def application(fields: dict[str, Any] | None, **model: Any) -> Application:
    """An application with one model that has these fields, or without a model."""
    schema = {"other": {"f": STRING}}
    if fields is not None:
        schema["thing"] = {"fields": fields, **model}
    return parse_application({"id": "app", "schema": schema})


class World:
    def __init__(self) -> None:
        self.database = MemoryDatabase()

    async def store(self, of: Application, id: str = "one", **fields: Any) -> None:
        """Store an object that was once valid."""
        document = build_object(
            of.model("thing"), {"id": id, **fields}, app_id="app", user_id=None, now=1
        )
        key = ObjectKey("app", "thing", id)
        record = Record({**document, "version": 1}, 1)
        assert await self.database.commit([Mutation(key, None, record)]) == [True]

    async def refuses(self, former: Application, present: Application) -> InvalidParameters | None:
        """Return the error of a refused change, or None."""
        try:
            await check_stored_objects(self.database, former, present)
        except InvalidParameters as error:
            return error
        return None


@pytest.fixture
def world() -> World:
    return World()


def inside(field: dict[str, Any]) -> dict[str, Any]:
    return {"f": {"type": "object", "properties": {"g": field}}}


def within_an_array(field: dict[str, Any]) -> dict[str, Any]:
    return {"f": {"type": "array", "arrayType": "object", "properties": {"g": field}}}


@contract()
@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ({"f": STRING}, "a", {"g": STRING}),
        ({"f": STRING}, "a", {"f": {"type": "int"}}),
        ({"f": STRING}, "1", {"f": {"type": "int"}}),
        ({"f": STRING}, "1970-01-01", {"f": {"type": "date"}}),
        ({"f": STRING}, "a", {"f": {"type": "array", "arrayType": "string"}}),
        ({"f": STRING}, "a", {"f": STRING, "g": {"type": "int", "required": True}}),
        ({"f": {**STRING, "nullable": True}}, None, {"f": STRING}),
        ({"f": {"type": "date"}}, 1, {"f": {"type": "int"}}),
        ({"f": {"type": "date"}}, 1, {"f": {"type": "float"}}),
        ({"f": {"type": "int"}}, 1, {"f": {"type": "date"}}),
        ({"f": {"type": "float"}}, 1.0, {"f": {"type": "int"}}),
        (inside({"type": "int"}), {"g": 1}, inside({"type": "date"})),
        (within_an_array({"type": "int"}), [{"g": 1}], within_an_array({"type": "date"})),
    ],
)
async def test_a_change_that_a_stored_object_violates_is_refused_with_its_id(
    world: World, before: dict[str, Any], value: Any, after: dict[str, Any]
) -> None:
    former = application(before)
    await world.store(former, f=value)

    refusal = await world.refuses(former, application(after))

    assert refusal is not None
    assert refusal.message.startswith("schema.thing: ")
    assert "such as one" in refusal.message
    assert refusal.details is not None
    assert (refusal.details["model"], refusal.details["example"]) == ("thing", "one")


@contract()
@pytest.mark.parametrize(
    ("before", "fields", "after"),
    [
        ({"f": {"type": "int"}}, {"f": 1}, {"f": {"type": "float"}}),
        ({"f": STRING}, {"f": "a"}, {"f": STRING, "g": {"type": "int"}}),
        ({"f": STRING}, {"f": "a"}, {"f": {**STRING, "required": True, "filterable": True}}),
        ({"f": STRING}, {"f": "a"}, {"f": {**STRING, "nullable": True}}),
        ({"f": STRING, "g": STRING}, {"f": "a"}, {"f": STRING}),
        ({"f": STRING, "g": {"type": "int"}}, {"f": "a"}, {"f": STRING, "g": {"type": "date"}}),
        (within_an_array({"type": "int"}), {"f": []}, within_an_array({"type": "date"})),
    ],
)
async def test_a_change_that_every_stored_object_fits_is_accepted(
    world: World, before: dict[str, Any], fields: dict[str, Any], after: dict[str, Any]
) -> None:
    former = application(before)
    await world.store(former, **fields)
    assert await world.refuses(former, application(after)) is None


@contract()
@pytest.mark.parametrize("present", [application(None), application({"f": STRING}, transient=True)])
async def test_a_model_can_be_removed_only_when_its_objects_are_gone(
    world: World, present: Application
) -> None:
    former = application({"f": STRING})
    assert await world.refuses(former, present) is None
    await world.store(former, f="a")
    refusal = await world.refuses(former, present)
    assert refusal is not None
    assert "such as one; delete them first" in refusal.message


async def test_a_transient_model_has_no_objects_to_check(world: World) -> None:
    former = application({"f": STRING}, transient=True)
    assert await world.refuses(former, application({"g": {"type": "int"}})) is None
    assert world.database.queries == []


async def test_an_unchanged_schema_causes_no_database_query(world: World) -> None:
    former = application({"f": STRING})
    await world.store(former, f="a")
    assert await world.refuses(former, application({"f": STRING})) is None
    assert world.database.queries == []


async def test_every_object_is_checked_however_many_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.applications.schema_changes._PAGE", 2)
    former = application({"f": {**STRING, "nullable": True}})
    for number in range(5):
        await world.store(former, id=f"t{number}", f=None if number == 4 else "a")
    refusal = await world.refuses(former, application({"f": STRING}))
    assert refusal is not None
    assert refusal.details is not None
    assert refusal.details["example"] == "t4"
