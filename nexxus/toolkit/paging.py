"""Paging: iterates over all objects of a query, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from nexxus.domain.objects import Document
from nexxus.interfaces.database import Database, Query


async def pages(database: Database, query: Query) -> AsyncIterator[list[Document]]:
    """Yield pages of at most `query.limit` objects until there are no more; none is empty.

    Each page continues after the last object of the previous page, so that objects created or
    deleted meanwhile never cause others to be repeated or skipped.
    """
    after: tuple[Any, ...] | None = query.after
    while True:
        page = await database.search(msgspec.structs.replace(query, after=after))
        if page:
            yield page
        if len(page) < query.limit:
            return
        after = query.place_of(page[-1])
