"""The room that a database makes for models, and whose it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nexxus.domain.filters import And, Compare, Missing, Not, Op
from nexxus.domain.objects import ObjectKey
from nexxus.domain.schema import ModelType, build_model, compile_model
from nexxus.errors import ModelNotFound
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey
from nexxus.testing.database_kit.materials import (
    NOTE,
    TASK,
    AnyDatabase,
    delete,
    ids,
    loaded,
    new_app,
    replace,
    store,
    task,
)


class PreparingConformance(AnyDatabase):
    """Models come and change."""

    async def test_preparing_again_changes_nothing(self, database: Database, app: str) -> None:
        await store(database, task(app, "a", title="one", tags=["x"]))
        await database.prepare(app, [TASK])
        await database.prepare(app, [TASK])
        assert await ids(database, app, Compare("title", Op.EQ, "one")) == {"a"}
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "x")) == {"a"}

    async def test_models_that_are_not_named_are_left_alone(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one"))
        await database.prepare(app, [NOTE])
        assert await ids(database, app, Compare("title", Op.EQ, "one")) == {"a"}
        assert await database.count(app, NOTE) == 0

    async def test_a_field_that_becomes_filterable_finds_what_is_stored(
        self, database: Database
    ) -> None:
        app = new_app()
        plain = compile_model("task", {"notes": {"type": "string"}})
        await database.prepare(app, [plain])
        documents = [task(app, f"t{n}", title=f"{n % 3}", tags=[f"{n}"]) for n in range(700)]
        await store(database, *documents)
        await delete(database, await loaded(database, ObjectKey(app, "task", "t0")))
        await database.prepare(app, [TASK])
        found = await ids(database, app, Compare("title", Op.EQ, "0"))
        assert found == {f"t{n}" for n in range(3, 700, 3)}
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "699")) == {"t699"}
        sort = (SortKey("title", True), SortKey("id"))
        (first,) = await database.search(Query(app, TASK, sort=sort, limit=1))
        assert first["id"] == "t101"

    async def test_writes_during_a_preparation_are_found_after_it(self, database: Database) -> None:
        app = new_app()
        plain = compile_model("task", {"notes": {"type": "string"}})
        await database.prepare(app, [plain])
        await store(database, *(task(app, f"t{n}", points=0, tags=["old"]) for n in range(900)))
        prepared = asyncio.create_task(database.prepare(app, [TASK]))
        changed = 0
        while not prepared.done() and changed < 900:
            former = await loaded(database, ObjectKey(app, "task", f"t{899 - changed}"))
            assert await replace(database, former, points=1, tags=["new"])
            await store(database, task(app, f"new{changed}", points=1, tags=["new"]))
            changed += 1
        await prepared
        assert changed > 0
        assert await database.count(app, TASK, Compare("points", Op.EQ, 1)) == 2 * changed
        assert await database.count(app, TASK, Compare("points", Op.EQ, 0)) == 900 - changed
        new = Compare("tags", Op.CONTAINS, "new")
        assert await database.count(app, TASK, new) == 2 * changed
        old = Compare("tags", Op.CONTAINS, "old")
        assert await database.count(app, TASK, old) == 900 - changed

    async def test_a_field_that_was_not_filterable_for_a_while_is_filled_anew(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one", tags=["x"]))
        await store(database, task(app, "b", title="one", tags=["x"]))
        plain = compile_model("task", {"other": {"type": "string", "filterable": True}})
        await database.prepare(app, [plain])
        former = await loaded(database, ObjectKey(app, "task", "a"))
        assert await replace(database, former, title="two", tags=["y"])
        await store(database, task(app, "c", title="one", tags=["x"]))
        await database.prepare(app, [TASK])
        assert await ids(database, app, Compare("title", Op.EQ, "one")) == {"b", "c"}
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "x")) == {"b", "c"}
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "y")) == {"a"}

    async def test_an_int_that_becomes_a_float_keeps_its_values(self, database: Database) -> None:
        def model(type: str) -> ModelType:
            return compile_model("task", {"size": {"type": type, "filterable": True}})

        app = new_app()
        await database.prepare(app, [model("int")])
        await store(database, task(app, "a", size=1), task(app, "b", size=2))
        await database.prepare(app, [model("float")])
        await store(database, task(app, "c", size=1.5), task(app, "d", size=2.0))
        between = And((Compare("size", Op.GT, 1), Compare("size", Op.LTE, 2)))
        query = Query(app, model("float"), between, (SortKey("size"), SortKey("id")))
        assert [document["id"] for document in await database.search(query)] == ["c", "b", "d"]

    async def test_a_field_may_be_removed_and_return_as_another_type(
        self, database: Database
    ) -> None:
        app = new_app()
        kinds: list[dict[str, Any]] = [{"type": "string"}, {"type": "array", "arrayType": "int"}]
        first, second = (
            compile_model("task", {"label": {**kind, "filterable": True}}) for kind in kinds
        )
        await database.prepare(app, [first])
        await store(database, task(app, "a", label="x"))
        await replace(database, await loaded(database, ObjectKey(app, "task", "a")), label=[1, 2])
        await database.prepare(app, [second])
        assert await database.count(app, second, Compare("label", Op.CONTAINS, 2)) == 1
        assert await database.count(app, second, Not(Missing("label"))) == 1

    async def test_names_that_are_words_of_a_query_language_are_just_names(
        self, database: Database
    ) -> None:
        app = new_app()
        names = ["select", "SELECT", "order", "number", "version", "object", "value", "c1", "rowid"]
        fields = {
            name: {"type": "string", "filterable": True} for name in names if name != "version"
        }
        model = compile_model("table", fields)
        await database.prepare(app, [model, build_model("account-name", {})])
        document = {**task(app, "a"), "type": "table", **{name: name for name in fields}}
        await store(database, document)
        for name in fields:
            assert await database.count(app, model, Compare(name, Op.EQ, name)) == 1


class DroppingConformance(AnyDatabase):
    """Applications go."""

    async def test_dropping_an_application_removes_all_of_it_and_nothing_else(
        self, database: Database, app: str
    ) -> None:
        other = new_app()
        await database.prepare(other, [TASK])
        for owner in (app, other):
            await store(database, task(owner, "a", tags=["x"]), task(owner, "gone"))
            await delete(database, await loaded(database, ObjectKey(owner, "task", "gone")))
        await database.drop(app)
        keys = [ObjectKey(app, "task", "a"), ObjectKey(app, "task", "gone")]
        assert await database.load(keys) == [None, None]
        assert await ids(database, app) == set()
        assert await ids(database, other, Compare("tags", Op.CONTAINS, "x")) == {"a"}
        assert (await loaded(database, ObjectKey(other, "task", "gone"))).version == 2

    async def test_what_has_no_room_is_not_stored_and_can_not_be(
        self, database: Database, app: str
    ) -> None:
        never_prepared = ObjectKey(new_app(), "task", "a")
        await database.drop(app)
        for key in (never_prepared, ObjectKey(app, "task", "a")):
            assert await database.load([key]) == [None]
            with pytest.raises(ModelNotFound):
                await database.commit([Mutation(key, None, Record(task(key.app_id, "a"), 1))])

    async def test_dropping_what_is_not_there_is_fine(self, database: Database, app: str) -> None:
        await database.drop(new_app())
        await database.drop(app)
        await database.drop(app)

    async def test_a_dropped_application_can_begin_anew(self, database: Database, app: str) -> None:
        await store(database, task(app, "a", tags=["x"]))
        await database.drop(app)
        await database.prepare(app, [TASK])
        assert await ids(database, app) == set()
        await store(database, task(app, "a", title="new"))
        assert await ids(database, app, Compare("title", Op.EQ, "new")) == {"a"}
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "x")) == set()


class IsolationConformance(AnyDatabase):
    """What is one's own is nobody else's."""

    async def test_applications_and_models_share_no_objects(
        self, database: Database, app: str
    ) -> None:
        other = new_app()
        await database.prepare(other, [TASK])
        await database.prepare(app, [NOTE])
        await store(database, task(app, "a", title="mine"), task(other, "a", title="theirs"))
        await store(database, {**task(app, "a", title="note"), "type": "note"})
        assert (await loaded(database, ObjectKey(other, "task", "a"))).document["title"] == "theirs"
        assert await ids(database, app, Compare("title", Op.EQ, "theirs")) == set()
        assert await database.count(app, NOTE, Compare("title", Op.EQ, "note")) == 1
        assert await database.count(app, TASK, Compare("title", Op.EQ, "note")) == 0
        await delete(database, await loaded(database, ObjectKey(app, "task", "a")))
        assert await ids(database, other) == {"a"}
        assert await database.count(app, NOTE) == 1
