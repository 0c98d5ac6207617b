"""User records under concurrent changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from clock import Clock
from memory_database import MemoryDatabase

from nexxus.accounts.user_records import User, UserRecords
from nexxus.applications.system import USER
from nexxus.domain.objects import ObjectKey
from nexxus.errors import ServiceUnavailable, UserAlreadyExists
from nexxus.interfaces.auth_strategy import Subject
from nexxus.interfaces.database import Mutation

APP = "app"
SUBJECT = Subject("https://id.example", "1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture
def records(database: MemoryDatabase, clock: Clock) -> UserRecords:
    return UserRecords(database, attempts=3, abandoned_after=30, clock=clock)


async def create(records: UserRecords, username: str, subject: Subject | None = None) -> User:
    return await records.create(
        APP,
        username=username,
        user_type="default",
        provider="local",
        details={},
        subject=subject,
    )


def after_loading(
    database: MemoryDatabase, meanwhile: Callable[[], Awaitable[Any]], *, times: int = 1
) -> None:
    """Run something after a user was loaded and before it is written."""

    async def loaded(keys: Sequence[ObjectKey]) -> None:
        nonlocal times
        if times and keys[0].type == USER.name:
            times -= 1
            database.loaded, here = nothing, database.loaded
            await meanwhile()
            database.loaded = here

    nothing = database.loaded
    database.loaded = loaded


def fail_to_store_users(database: MemoryDatabase) -> Callable[[], None]:
    """Make the database refuse users; the returned function undoes that."""

    async def committing(mutations: Sequence[Mutation]) -> None:
        if mutations[0].key.type == USER.name:
            raise ServiceUnavailable("the disk is full")

    former, database.committing = database.committing, committing
    return lambda: setattr(database, "committing", former)


def disabled(user: User) -> User:
    return msgspec.structs.replace(user, disabled=True)


async def test_a_user_is_found_by_id_name_and_subject(records: UserRecords) -> None:
    user = await create(records, "ann", SUBJECT)

    assert await records.get(APP, user.id) == user
    assert await records.find(APP, "ann") == user
    assert await records.find_subject(APP, SUBJECT) == user
    assert await records.find("another", "ann") is None
    assert await records.find_subject("another", SUBJECT) is None


@pytest.mark.parametrize(
    "other", [Subject("https://id.example1", ""), Subject("https://id.example", "11")]
)
async def test_a_subject_consists_of_issuer_and_sub(records: UserRecords, other: Subject) -> None:
    await create(records, "ann", SUBJECT)

    assert await records.find_subject(APP, other) is None


async def test_a_name_and_a_subject_belong_to_one_user(records: UserRecords) -> None:
    await create(records, "ann", SUBJECT)

    with pytest.raises(UserAlreadyExists):
        await create(records, "ann")
    with pytest.raises(UserAlreadyExists):
        await create(records, "beth", SUBJECT)
    await create(records, "beth")


async def test_a_name_whose_user_was_never_stored_becomes_free_again(
    records: UserRecords, database: MemoryDatabase, clock: Clock
) -> None:
    undo = fail_to_store_users(database)
    with pytest.raises(ServiceUnavailable):
        await create(records, "ann", SUBJECT)
    undo()
    clock.advance(29)
    with pytest.raises(UserAlreadyExists):
        await create(records, "ann", SUBJECT)
    clock.advance(2)

    user = await create(records, "ann", SUBJECT)

    assert await records.find(APP, "ann") == user
    assert await records.find_subject(APP, SUBJECT) == user


async def test_a_name_in_use_is_never_taken_over(records: UserRecords, clock: Clock) -> None:
    await create(records, "ann", SUBJECT)
    clock.advance(1_000_000)

    with pytest.raises(UserAlreadyExists):
        await create(records, "ann")
    with pytest.raises(UserAlreadyExists):
        await create(records, "beth", SUBJECT)


async def test_a_user_changed_concurrently_is_still_deleted(
    records: UserRecords, database: MemoryDatabase
) -> None:
    user = await create(records, "ann", SUBJECT)
    after_loading(database, lambda: records.change(user, disabled))

    await records.delete(user)

    assert await records.get(APP, user.id) is None
    assert await records.find(APP, "ann") is None
    await create(records, "ann", SUBJECT)


async def test_a_user_who_is_changed_continuously_keeps_the_name(
    records: UserRecords, database: MemoryDatabase
) -> None:
    user = await create(records, "ann")
    after_loading(database, lambda: records.change(user, disabled), times=3)

    with pytest.raises(ServiceUnavailable):
        await records.delete(user)

    assert await records.get(APP, user.id) is not None
    with pytest.raises(UserAlreadyExists):
        await create(records, "ann")


async def test_concurrent_changes_are_all_applied(
    records: UserRecords, database: MemoryDatabase
) -> None:
    user = await create(records, "ann")
    after_loading(database, lambda: records.change(user, disabled))

    changed = await records.change(
        user, lambda latest: msgspec.structs.replace(latest, user_type="staff")
    )

    assert (changed.disabled, changed.user_type) == (True, "staff")
    assert await records.get(APP, user.id) == changed


async def test_a_name_acquired_concurrently_is_freed_with_the_user(
    records: UserRecords,
) -> None:
    as_known = await create(records, "ann")
    renamed = await records.rename(as_known, "beth")

    await records.delete(as_known)

    await create(records, renamed.username)


async def test_a_name_that_now_belongs_to_another_user_is_not_freed(records: UserRecords) -> None:
    as_known = await create(records, "ann")
    await records.rename(as_known, "beth")
    other = await create(records, "ann")

    await records.delete(as_known)

    assert await records.find(APP, "ann") == other


async def test_a_rename_that_failed_midway_can_be_repeated(
    records: UserRecords, database: MemoryDatabase
) -> None:
    user = await create(records, "ann")
    undo = fail_to_store_users(database)
    with pytest.raises(ServiceUnavailable):
        await records.rename(user, "beth")
    undo()

    assert (await records.rename(user, "beth")).username == "beth"
    await create(records, "ann")


async def test_users_are_listed_in_the_order_of_their_creation(
    records: UserRecords, clock: Clock
) -> None:
    for name in ("zoe", "ann", "max"):
        await create(records, name)
        clock.advance(1)

    listed = await records.list(APP, limit=2, offset=1)

    assert [user.username for user in listed] == ["ann", "max"]
