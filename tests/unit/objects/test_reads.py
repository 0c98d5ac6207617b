"""Reading objects: only stored ones, and only those that the caller may see."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from objects_world import ANN, BEN, NOBODY, READER, WITH_USERS, ObjectsWorld, ids

from nexxus.domain.identity import Identity
from nexxus.errors import AccessDenied, InvalidParameters, ModelNotFound
from nexxus.objects.queries import Paging, Selection
from nexxus.objects.reads import Page

contract = partial(pytest.mark.contract, "2. Applications and schemas")


async def search(world: ObjectsWorld, identity: Identity = NOBODY, **asked: Any) -> Page:
    paging = Paging(
        **{name: asked.pop(name) for name in ("limit", "sort", "cursor") if name in asked}
    )
    return await world.reads.search(identity, "task", Selection(**asked), paging)


async def count(world: ObjectsWorld, identity: Identity = NOBODY, **asked: Any) -> int:
    return await world.reads.count(identity, "task", Selection(**asked))


@pytest.fixture
async def shared(world: ObjectsWorld) -> ObjectsWorld:
    """An application with users, and two tasks of each."""
    await world.application(WITH_USERS)
    await world.store(
        {"id": "a1", "userId": "ann", "title": "one"},
        {"id": "a2", "userId": "ann", "title": "two"},
        {"id": "b1", "userId": "ben", "title": "one"},
        {"id": "b2", "userId": "ben", "title": "two"},
    )
    return world


# One object


async def test_an_object_is_read_as_it_is_stored(world: ObjectsWorld) -> None:
    await world.application()
    await world.store({"id": "t", "title": "one"})
    assert (await world.reads.get(NOBODY, "task", "t"))["title"] == "one"


async def test_missing_and_deleted_objects_are_not_found(
    world: ObjectsWorld,
) -> None:
    await world.application()
    await world.store({"id": "gone"})
    await world.delete("gone")
    for name in ("gone", "never"):
        with pytest.raises(ModelNotFound, match=f"no task '{name}'"):
            await world.reads.get(NOBODY, "task", name)


async def test_a_transient_object_cannot_be_read(world: ObjectsWorld) -> None:
    await world.application()
    with pytest.raises(InvalidParameters, match="transient"):
        await world.reads.get(NOBODY, "typing", "t")


@contract("roles: reading is narrowed")
async def test_another_users_object_is_denied_like_a_missing_one(
    shared: ObjectsWorld,
) -> None:
    await shared.delete("a2")
    refusals = []
    for name in ("b1", "a2", "never"):
        with pytest.raises(AccessDenied) as error:
            await shared.reads.get(ANN, "task", name)
        refusals.append((error.value.message, error.value.details))
    assert len(set(map(str, refusals))) == 1
    assert (await shared.reads.get(ANN, "task", "a1"))["userId"] == "ann"


async def test_without_a_role_the_database_is_not_queried(shared: ObjectsWorld) -> None:
    with pytest.raises(AccessDenied):
        await search(shared, READER)
    with pytest.raises(AccessDenied):
        await count(shared, READER)
    assert [query for query in shared.database.queries if query.app_id == "app"] == []


# Several


@contract("roles: reading is narrowed")
async def test_search_and_count_are_narrowed_to_permitted_objects(
    shared: ObjectsWorld,
) -> None:
    assert ids((await search(shared, ANN)).items) == ["a1", "a2"]
    assert ids((await search(shared, BEN, filter={"title": "one"})).items) == ["b1"]
    assert ids((await search(shared, ANN, user_id="ben")).items) == []
    assert await count(shared, ANN) == 2
    assert await count(shared, ANN, filter={"title": "one"}) == 1
    assert await count(shared, ANN, user_id="ben") == 0


async def test_a_page_has_a_cursor_only_while_more_follow(world: ObjectsWorld) -> None:
    await world.application()
    await world.store(*({"id": f"t{number}"} for number in range(4)))
    first = await search(world, limit=3)
    assert ids(first.items) == ["t0", "t1", "t2"]
    last = await search(world, limit=3, cursor=first.cursor)
    assert ids(last.items) == ["t3"]
    assert last.cursor is None
    whole = await search(world, limit=4)
    assert (len(whole.items), whole.cursor) == (4, None)


async def test_pages_have_the_requested_order(world: ObjectsWorld) -> None:
    await world.application()
    points = [3, None, 1, 2, 2]
    await world.store(
        *(
            {"id": f"t{number}"} if value is None else {"id": f"t{number}", "points": value}
            for number, value in enumerate(points)
        )
    )
    found: list[str] = []
    cursor = None
    while True:
        page = await search(world, sort=["-points"], limit=2, cursor=cursor)
        found += ids(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == ["t0", "t3", "t4", "t2", "t1"]


async def test_an_unknown_model_is_not_found(world: ObjectsWorld) -> None:
    await world.application()
    with pytest.raises(ModelNotFound):
        await world.reads.get(NOBODY, "nothing", "t")
