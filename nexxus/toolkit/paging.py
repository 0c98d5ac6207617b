"""Paging: every object that a query is about, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from nexxus.domain.objects import Document
from nexxus.interfaces.database import Database, Query


async def pages(database: Database, query: Query) -> AsyncIterator[list[Document]]:
    """Yield pages of at most `query.limit` objects until there are no more; none is empty.

    Each page continues behind the last object of the one before. Objects that are created or
    deleted meanwhile therefore never repeat or hide others.
    """
    after: tuple[Any, ...] | None = query.after
    while True:
        page = await database.search(msgspec.structs.replace(query, after=after))
        if page:
            yield page
        if len(page) < query.limit:
            return
        after = query.place_of(page[-1])
