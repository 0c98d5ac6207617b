"""The records of a database: as they were stored, and no write over another's."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from nexxus.domain.filters import Compare, Op
from nexxus.domain.objects import ObjectKey
from nexxus.interfaces.database import Database, Mutation, Query, Record
from nexxus.testing.database_kit.materials import (
    NOTE,
    TASK,
    AnyDatabase,
    delete,
    identity_of,
    ids,
    key_of,
    load,
    loaded,
    replace,
    store,
    task,
)


class LoadingConformance(AnyDatabase):
    """What was stored comes back as it was."""

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

    @pytest.mark.parametrize(
        "memory", [b"", bytes(range(256)), b"\xff" * 64 * 1024], ids=["empty", "any", "large"]
    )
    async def test_the_memory_of_an_object_and_of_a_tombstone_comes_back_unchanged(
        self, database: Database, app: str, memory: bytes
    ) -> None:
        key = ObjectKey(app, "task", "a")
        await database.commit([Mutation(key, None, Record(task(app, "a"), 1, memory=memory))])
        present = await loaded(database, key)
        assert present.memory == memory
        gone = Record(identity_of(key), 2, deleted_at=2**31, memory=memory[::-1])
        await database.commit([Mutation(key, present, gone)])
        assert (await loaded(database, key)).memory == gone.memory

    async def test_each_record_has_its_own_memory(self, database: Database, app: str) -> None:
        keys = [ObjectKey(app, "task", f"t{n}") for n in range(10)]
        memories = [bytes([n]) * n for n in range(10)]
        await database.commit(
            [
                Mutation(key, None, Record(task(app, key.id), 1, memory=memory))
                for key, memory in zip(keys, memories, strict=True)
            ]
        )
        records = await database.load(keys)
        assert [record and record.memory for record in records] == memories


class CommittingConformance(AnyDatabase):
    """Comparing and setting."""

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
