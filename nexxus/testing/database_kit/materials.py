"""What the tests of a database are made of."""

from __future__ import annotations

import time
from typing import Any, Final
from uuid import uuid4

import pytest

from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType, compile_model
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey
from nexxus.toolkit import paging

TASK: Final = compile_model(
    "task",
    {
        "title": {"type": "string", "filterable": True},
        "Title": {"type": "string", "filterable": True, "nullable": True},
        "points": {"type": "int", "filterable": True, "nullable": True},
        "score": {"type": "float", "filterable": True},
        "done": {"type": "boolean", "filterable": True},
        "due": {"type": "date", "filterable": True, "nullable": True},
        "tags": {"type": "array", "arrayType": "string", "filterable": True, "nullable": True},
        "marks": {"type": "array", "arrayType": "float", "filterable": True},
        "place": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "filterable": True},
                "at": {
                    "type": "object",
                    "properties": {"lat": {"type": "float", "filterable": True}},
                },
            },
        },
        "notes": {"type": "string"},
    },
)
"""A model with a filterable field of every kind, two of which differ only in case."""

NOTE: Final = compile_model("note", {"title": {"type": "string", "filterable": True}})
"""Another model, with a field of the same name."""


def new_app() -> str:
    """An application that nobody else uses."""
    return f"kit-{uuid4().hex}"


def task(app_id: str, id: str, version: int = 1, **fields: Any) -> Document:
    """A document of `TASK`; `createdAt` and `userId` may be given, too."""
    identity = {"id": id, "type": TASK.name, "appId": app_id}
    stamps = {"createdAt": 1_700_000_000, "updatedAt": 1_700_000_000, "version": version}
    return {**identity, **stamps, **fields}


def key_of(document: Document) -> ObjectKey:
    """The key of a document."""
    return ObjectKey(document["appId"], document["type"], document["id"])


async def store(database: Database, *documents: Document) -> None:
    """Store new documents."""
    mutations = [Mutation(key_of(d), None, Record(d, d["version"])) for d in documents]
    assert all(await database.commit(mutations))


async def ids(
    database: Database, app_id: str, filter: Filter = EVERYTHING, model: ModelType = TASK
) -> set[str]:
    """The ids of the objects that match; checks that they are counted alike."""
    found = await database.search(Query(app_id, model, filter, limit=10_000))
    assert await database.count(app_id, model, filter) == len(found)
    return {document["id"] for document in found}


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


async def pages(
    database: Database, app_id: str, sort: tuple[SortKey, ...], limit: int
) -> list[str]:
    """The ids of all tasks, page by page, each continuing behind the last one's end."""
    query = Query(app_id, TASK, sort=sort, limit=limit)
    return [document["id"] async for page in paging.pages(database, query) for document in page]


class AnyDatabase:
    """What every part of the kit has at hand."""

    @pytest.fixture
    async def app(self, database: Database) -> str:
        app_id = new_app()
        await database.prepare(app_id, [TASK])
        return app_id

    async def reopen(self, database: Database) -> Database:
        """Close the database and open another on the same storage."""
        raise NotImplementedError("a database survives a restart: override `reopen`")
