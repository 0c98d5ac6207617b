"""Changes of a schema: checks that the stored objects fit the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nexxus.domain.application import Application
from nexxus.domain.objects import Document, check_object, value_at
from nexxus.domain.schema import ModelType, retyped_paths
from nexxus.errors import InvalidParameters
from nexxus.interfaces.database import Database, Query, SortKey
from nexxus.toolkit.paging import pages

_PAGE = 500


async def check_stored_objects(
    database: Database, former: Application, present: Application
) -> None:
    """Raise `InvalidParameters`, with an example, if a stored object would become invalid."""
    for name, model in former.models.items():
        if model.transient:
            continue
        successor = present.models.get(name)
        if successor is None or successor.transient:
            await _refuse_if_any(database, former.id, model)
        elif successor.fields != model.fields:
            await _refuse_if_invalid(database, former.id, model, successor)


async def _refuse_if_any(database: Database, app_id: str, model: ModelType) -> None:
    for document in await database.search(Query(app_id, model, limit=1)):
        raise InvalidParameters(
            f"schema.{model.name}: there are stored objects of this model, such as "
            f"{document['id']}; delete them first",
            {"model": model.name, "example": document["id"]},
        )


async def _refuse_if_invalid(
    database: Database, app_id: str, model: ModelType, successor: ModelType
) -> None:
    retyped = retyped_paths(model.fields, successor.fields)
    by_id = Query(app_id, model, sort=(SortKey("id"),), limit=_PAGE)
    async for page in pages(database, by_id):
        for document in page:
            _refuse_unless_valid(successor, document, retyped)
        # Thousands of objects are judged between two pages of writes, not instead of them.
        await asyncio.sleep(0)


def _refuse_unless_valid(model: ModelType, document: Document, retyped: Sequence[str]) -> None:
    try:
        check_object(model, document)
        _refuse_if_there(document, retyped)
    except InvalidParameters as error:
        raise InvalidParameters(
            f"schema.{model.name}: stored objects would become invalid, such as "
            f"{document['id']}: {error.message}",
            {**(error.details or {}), "model": model.name, "example": document["id"]},
        ) from None


def _refuse_if_there(document: Document, retyped: Sequence[str]) -> None:
    for path in retyped:
        if value_at(document, path) not in (None, []):
            raise InvalidParameters(f"{path}: the stored value is of another type", {"field": path})
