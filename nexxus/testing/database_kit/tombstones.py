"""What a database keeps of objects that were deleted, and for how long."""

from __future__ import annotations

from nexxus.domain.filters import Compare, Missing, Op
from nexxus.domain.objects import ObjectKey
from nexxus.interfaces.database import Database, Mutation, Record
from nexxus.testing.database_kit.materials import (
    AnyDatabase,
    delete,
    identity_of,
    ids,
    load,
    loaded,
    replace,
    store,
    task,
)


class TombstonesConformance(AnyDatabase):
    """Deleted objects."""

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
