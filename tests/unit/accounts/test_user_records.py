"""User records under changes that come at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexxus.accounts import user_records
from nexxus.accounts.user_records import User, UserRecords
from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.applications.system import ACCOUNT_NAME, USER
from nexxus.domain.objects import ObjectKey
from nexxus.errors import ServiceUnavailable, UserAlreadyExists
from nexxus.interfaces.database import Mutation, Record

APP = "app"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(SqliteSettings(), data_dir=tmp_path)
    await database.open()
    await database.prepare(APP, [USER, ACCOUNT_NAME])
    yield database
    await database.close()


@pytest.fixture
def records(database: SqliteDatabase) -> UserRecords:
    return UserRecords(database)


async def create(records: UserRecords, username: str) -> User:
    return await records.create(
        APP,
        username=username,
        user_type="default",
        provider="local",
        details={},
        password_hash=None,
    )


def after_loading(
    database: SqliteDatabase,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    meanwhile: Callable[[], Awaitable[Any]],
    *,
    times: int = 1,
) -> None:
    """Have something done right after a record of `model` was loaded, and before it is written."""
    load, left = database.load, times

    async def load_and_be_overtaken(keys: list[ObjectKey]) -> list[Record | None]:
        nonlocal left
        found = await load(keys)
        if left and keys[0].type == model:
            left -= 1
            monkeypatch.setattr(database, "load", load)
            await meanwhile()
            monkeypatch.setattr(database, "load", load_and_be_overtaken)
        return found

    monkeypatch.setattr(database, "load", load_and_be_overtaken)


def disabled(user: User) -> User:
    return msgspec.structs.replace(user, disabled=True)


async def test_a_user_who_is_changed_meanwhile_is_deleted_all_the_same(
    records: UserRecords, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await create(records, "ann")
    after_loading(database, monkeypatch, USER.name, lambda: records.change(user, disabled))

    await records.delete(user)

    assert await records.get(APP, user.id) is None
    assert await records.find(APP, "ann") is None
    await create(records, "ann")


async def test_a_user_who_is_changed_all_the_time_keeps_the_name(
    records: UserRecords, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await create(records, "ann")
    monkeypatch.setattr(user_records, "_ATTEMPTS", 3)
    after_loading(database, monkeypatch, USER.name, lambda: records.change(user, disabled), times=3)

    with pytest.raises(ServiceUnavailable):
        await records.delete(user)

    assert await records.get(APP, user.id) is not None
    with pytest.raises(UserAlreadyExists):
        await create(records, "ann")


async def test_the_name_that_a_user_got_meanwhile_is_set_free_with_the_user(
    records: UserRecords,
) -> None:
    as_known = await create(records, "ann")
    renamed = await records.rename(as_known, "beth")

    await records.delete(as_known)

    await create(records, renamed.username)


async def test_a_name_that_is_somebody_elses_by_now_is_not_set_free(
    records: UserRecords,
) -> None:
    as_known = await create(records, "ann")
    await records.rename(as_known, "beth")
    other = await create(records, "ann")

    await records.delete(as_known)

    assert await records.find(APP, "ann") == other


async def test_a_rename_that_failed_half_way_can_be_repeated(
    records: UserRecords, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await create(records, "ann")
    commit = database.commit

    async def commit_names_only(mutations: list[Mutation]) -> list[bool]:
        if mutations[0].key.type == USER.name:
            raise ServiceUnavailable("the disk is full")
        return await commit(mutations)

    with monkeypatch.context() as while_full:
        while_full.setattr(database, "commit", commit_names_only)
        with pytest.raises(ServiceUnavailable):
            await records.rename(user, "beth")

    assert (await records.rename(user, "beth")).username == "beth"
    await create(records, "ann")
