"""The conformance kit for `nexxus.interfaces.database.Database`.

Subclass `DatabaseConformance` in a test module and give it a fixture `database` that yields an
open database (and closes it afterwards)::

    class TestMyDatabase(DatabaseConformance):
        @pytest.fixture
        async def database(self):
            database = MyDatabase(settings)
            await database.open()
            yield database
            await database.close()

and override `reopen`. The kit uses applications of its own, so a shared server will do.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec
import pytest

from nexxus.domain.filters import And, Compare, Missing, Not, Op
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType, build_model, compile_model
from nexxus.errors import ModelNotFound, ServiceUnavailable
from nexxus.interfaces.database import (
    OPERATIONS_REMEMBERED,
    Database,
    Mutation,
    Query,
    Record,
    Replaced,
    SortKey,
)
from nexxus.testing.database_filter_kit import (
    TASK,
    DatabaseFilterConformance,
    ids,
    key_of,
    new_app,
    store,
    task,
)

NOTE: Final = compile_model("note", {"title": {"type": "string", "filterable": True}})
"""Another model, with a field of the same name."""


async def load(database: Database, key: ObjectKey) -> Record | None:
    """What is stored at one key."""
    (record,) = await database.load([key])
    return record


async def loaded(database: Database, key: ObjectKey) -> Record:
    """What is stored at one key; fails where nothing is."""
    record = await load(database, key)
    assert record is not None
    return record


async def replace(database: Database, former: Record, **changes: Any) -> bool:
    """Commit the next version of a loaded record."""
    document = {**former.document, **changes, "version": former.version + 1}
    mutation = Mutation(key_of(document), former, Record(document, former.version + 1))
    return (await database.commit([mutation]))[0]


async def delete(database: Database, former: Record, *, at: int | None = None) -> bool:
    """Commit a tombstone in place of a loaded record."""
    key = key_of(former.document)
    deleted_at = int(time.time()) if at is None else at
    tombstone = Record(identity_of(key), former.version + 1, deleted_at=deleted_at)
    return (await database.commit([Mutation(key, former, tombstone)]))[0]


def identity_of(key: ObjectKey) -> Document:
    """A tombstone's document."""
    return {"id": key.id, "type": key.type, "appId": key.app_id}


class DatabaseConformance(DatabaseFilterConformance):
    """What the docstrings of `Database` promise, a test each."""

    async def reopen(self, database: Database) -> Database:
        """Close the database and open another on the same storage."""
        raise NotImplementedError("a database survives a restart: override `reopen`")

    # Opening and closing

    async def test_an_open_database_answers_a_ping(self, database: Database) -> None:
        await database.ping()

    async def test_closing_twice_is_fine_and_a_closed_one_does_not_answer(
        self, database: Database, app: str
    ) -> None:
        await database.close()
        await database.close()
        with pytest.raises(ServiceUnavailable):
            await database.ping()
        with pytest.raises(ServiceUnavailable):
            await database.load([ObjectKey(app, "task", "a")])

    async def test_what_was_asked_for_is_finished_on_closing(
        self, database: Database, app: str
    ) -> None:
        documents = [task(app, f"t{n}") for n in range(50)]
        async with asyncio.TaskGroup() as group:
            for document in documents:
                group.create_task(store(database, document))
            await asyncio.sleep(0)  # lets each of them begin
            group.create_task(database.close())
        reopened = await self.reopen(database)
        try:
            assert await ids(reopened, app) == {document["id"] for document in documents}
        finally:
            await reopened.close()

    async def test_everything_is_there_after_a_restart(self, database: Database, app: str) -> None:
        await store(database, task(app, "a", title="one"), task(app, "b", tags=["x"]))
        await delete(database, await loaded(database, ObjectKey(app, "task", "a")))
        reopened = await self.reopen(database)
        try:
            await reopened.prepare(app, [TASK])
            assert await ids(reopened, app, Compare("tags", Op.CONTAINS, "x")) == {"b"}
            tombstone = await loaded(reopened, ObjectKey(app, "task", "a"))
            assert (tombstone.version, tombstone.deleted_at is not None) == (2, True)
        finally:
            await reopened.close()

    # Loading

    async def test_what_was_never_stored_is_none(self, database: Database, app: str) -> None:
        assert await load(database, ObjectKey(app, "task", "a")) is None

    async def test_records_come_in_the_order_of_their_keys(
        self, database: Database, app: str
    ) -> None:
        await database.prepare(app, [NOTE])
        note = {**task(app, "a"), "type": "note"}
        await store(database, task(app, "a"), task(app, "b"), note)
        keys = [
            ObjectKey(app, "task", "b"),
            ObjectKey(app, "note", "b"),
            ObjectKey(app, "note", "a"),
            ObjectKey(app, "task", "a"),
            ObjectKey(app, "task", "b"),
        ]
        records = await database.load(keys)
        found = [None if record is None else key_of(record.document) for record in records]
        assert found == [keys[0], None, keys[2], keys[3], keys[4]]

    async def test_loading_nothing_and_committing_nothing_is_fine(self, database: Database) -> None:
        assert await database.load([]) == []
        assert await database.commit([]) == []

    async def test_many_records_are_stored_and_loaded_at_once(
        self, database: Database, app: str
    ) -> None:
        documents = [task(app, f"t{n}", points=n) for n in range(1_500)]
        await store(database, *documents)
        records = await database.load([key_of(document) for document in documents])
        assert [record and record.document for record in records] == documents
        assert await database.count(app, TASK) == 1_500

    async def test_a_document_comes_back_exactly_as_it_was(
        self, database: Database, app: str
    ) -> None:
        document = task(
            app, "A-Z.a_z~0-9", title="\x00 \" \\ é 🙂 \u2028 \x7f", Title=None, points=-(2**53),
            score=0.1 + 0.2, done=False, tags=[], marks=[1e300, 5e-324, 2.0],
            place={"city": "", "at": {}}, notes="x" * 100_000, userId="u1",
        )  # fmt: skip
        await store(database, document)
        record = await loaded(database, key_of(document))
        (found,) = await database.search(Query(app, TASK))
        for copy in (record.document, found):
            assert msgspec.json.encode(copy, order="sorted") == msgspec.json.encode(
                document, order="sorted"
            )

    async def test_the_operations_last_applied_are_kept_in_order(
        self, database: Database, app: str
    ) -> None:
        document = task(app, "a")
        operations = tuple(f"operation-{n}" for n in range(OPERATIONS_REMEMBERED))
        await database.commit([Mutation(key_of(document), None, Record(document, 1, operations))])
        assert (await loaded(database, key_of(document))).operations == operations

    async def test_what_the_newest_operations_replaced_is_kept_with_an_object_and_a_tombstone(
        self, database: Database, app: str
    ) -> None:
        key = ObjectKey(app, "task", "a")
        replaced: tuple[Replaced | None, ...] = (None, {"title": "one", "place.city": None})
        present = Record(task(app, "a"), 1, replaced=replaced)
        await database.commit([Mutation(key, None, present)])
        stored = await loaded(database, key)
        assert stored.replaced == replaced
        gone = Record(identity_of(key), 2, deleted_at=2**31, replaced=({"tags": ["x"]},))
        await database.commit([Mutation(key, stored, gone)])
        assert (await loaded(database, key)).replaced == gone.replaced

    # Comparing and setting

    async def test_a_commit_over_the_expected_version_takes_effect(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one"))
        first = await loaded(database, ObjectKey(app, "task", "a"))
        assert await replace(database, first, title="two")
        second = await loaded(database, ObjectKey(app, "task", "a"))
        assert (second.version, second.document["title"]) == (2, "two")
        assert await ids(database, app, Compare("title", Op.EQ, "one")) == set()
        assert await ids(database, app, Compare("title", Op.EQ, "two")) == {"a"}

    async def test_a_commit_over_another_version_changes_nothing(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one"))
        first = await loaded(database, ObjectKey(app, "task", "a"))
        assert await replace(database, first, title="two")
        assert not await replace(database, first, title="three")
        assert not await delete(database, first)
        second = await loaded(database, ObjectKey(app, "task", "a"))
        assert (second.version, second.document["title"]) == (2, "two")

    async def test_creating_what_is_there_changes_nothing(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one"))
        other = task(app, "a", title="two")
        assert await database.commit([Mutation(key_of(other), None, Record(other, 1))]) == [False]
        assert await ids(database, app, Compare("title", Op.EQ, "one")) == {"a"}

    async def test_replacing_what_is_not_there_changes_nothing(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "there"))
        token = (await loaded(database, ObjectKey(app, "task", "there"))).token
        never = Record(task(app, "a"), 1, token=token)
        assert not await replace(database, never)
        assert await load(database, ObjectKey(app, "task", "a")) is None

    async def test_each_mutation_of_a_batch_succeeds_or_fails_alone(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a"), task(app, "c"))
        documents = [task(app, name, title="new") for name in "abcd"]
        outcome = await database.commit(
            [Mutation(key_of(document), None, Record(document, 1)) for document in documents]
        )
        assert outcome == [False, True, False, True]
        assert await ids(database, app, Compare("title", Op.EQ, "new")) == {"b", "d"}

    async def test_of_concurrent_commits_to_one_key_exactly_one_wins(
        self, database: Database, app: str
    ) -> None:
        key = ObjectKey(app, "task", "a")

        async def create(n: int) -> bool:
            document = task(app, "a", points=n)
            return (await database.commit([Mutation(key, None, Record(document, 1))]))[0]

        won = await asyncio.gather(*(create(n) for n in range(20)))
        assert sum(won) == 1
        former = await loaded(database, key)
        assert former.document["points"] == won.index(True)
        won = await asyncio.gather(*(replace(database, former, points=n) for n in range(20)))
        assert sum(won) == 1
        assert (await loaded(database, key)).document["points"] == won.index(True)

    async def test_many_concurrent_writers_lose_nothing(self, database: Database, app: str) -> None:
        async def count_up(id: str) -> None:
            key = ObjectKey(app, "task", id)
            document = task(app, id, points=0)
            await database.commit([Mutation(key, None, Record(document, 1))])
            for _ in range(5):
                former = await loaded(database, key)
                while not await replace(database, former, points=former.document["points"] + 1):
                    former = await loaded(database, key)

        # Two writers for each of ten objects.
        await asyncio.gather(*(count_up(f"t{n % 10}") for n in range(20)))
        for document in await database.search(Query(app, TASK, limit=100)):
            assert (document["points"], document["version"]) == (10, 11)
        assert await database.count(app, TASK) == 10

    async def test_a_search_sees_every_commit_that_returned_before(
        self, database: Database, app: str
    ) -> None:
        async def write_and_look(n: int) -> None:
            await store(database, task(app, f"t{n}", points=n))
            assert await ids(database, app, Compare("points", Op.EQ, n)) == {f"t{n}"}
            former = await loaded(database, ObjectKey(app, "task", f"t{n}"))
            await delete(database, former)
            assert await ids(database, app, Compare("points", Op.EQ, n)) == set()

        await asyncio.gather(*(write_and_look(n) for n in range(30)))

    async def test_whoever_looked_before_sees_what_came_after(
        self, database: Database, app: str
    ) -> None:
        for n in range(10):
            await asyncio.gather(*(database.ping() for _ in range(10)))
            await asyncio.gather(*(ids(database, app) for _ in range(10)))
            await store(database, task(app, f"t{n}"))
            for found in await asyncio.gather(*(ids(database, app) for _ in range(10))):
                assert len(found) == n + 1

    # Tombstones

    async def test_a_tombstone_is_loaded_and_never_found(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "a", title="one", tags=["x"]))
        key = ObjectKey(app, "task", "a")
        assert await delete(database, await loaded(database, key), at=1_700_000_000)
        tombstone = await loaded(database, key)
        assert (tombstone.version, tombstone.deleted_at) == (2, 1_700_000_000)
        assert tombstone.document == identity_of(key)
        assert await ids(database, app) == set()
        assert await ids(database, app, Missing("title")) == set()
        assert await ids(database, app, Compare("tags", Op.CONTAINS, "x")) == set()

    async def test_versions_go_on_after_a_deletion(self, database: Database, app: str) -> None:
        key = ObjectKey(app, "task", "a")
        await store(database, task(app, "a"))
        await delete(database, await loaded(database, key))
        again = task(app, "a", version=1)
        assert await database.commit([Mutation(key, None, Record(again, 1))]) == [False]
        assert await replace(database, await loaded(database, key), title="again")
        record = await loaded(database, key)
        assert (record.version, record.deleted_at) == (3, None)
        assert await ids(database, app) == {"a"}
        assert await delete(database, record)
        assert (await loaded(database, key)).version == 4

    async def test_old_tombstones_are_purged_and_younger_ones_kept(
        self, database: Database, app: str
    ) -> None:
        await store(database, task(app, "old"), task(app, "young"), task(app, "alive"))
        # Far back, so that nobody else's tombstones on a shared server are in the way.
        for name, at in (("old", 1_000), ("young", 1_001)):
            await delete(database, await loaded(database, ObjectKey(app, "task", name)), at=at)
        assert await database.purge(1_001) == 1
        assert await database.purge(1_001) == 0
        assert await load(database, ObjectKey(app, "task", "old")) is None
        assert await load(database, ObjectKey(app, "task", "young")) is not None
        assert await ids(database, app) == {"alive"}
        await store(database, task(app, "old"))
        assert await database.purge(1_002) == 1

    async def test_an_object_created_anew_is_not_purged(self, database: Database, app: str) -> None:
        key = ObjectKey(app, "task", "a")
        await store(database, task(app, "a"))
        await delete(database, await loaded(database, key), at=1_000)
        await replace(database, await loaded(database, key))
        assert await database.purge(2_000) == 0
        assert await ids(database, app) == {"a"}

    # Preparing

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

    # Dropping

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

    # Isolation

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
