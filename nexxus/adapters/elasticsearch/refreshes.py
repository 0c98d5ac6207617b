"""Refreshes: a search sees commits only after the index was refreshed, so it refreshes first.

One refresh serves all searches that were requested before it began. Searches that arrive while it
runs share the next one, so that each index has at most one refresh running and one waiting.

A node cannot know whether another node has written, so it can never skip the refresh. Measured with
one Elasticsearch node on two busy cores: a refresh takes 1.5 ms if nothing has changed, mostly for
the request itself, and about 10 ms after a commit. The smallest search takes 4 to 5 ms.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from elasticsearch import AsyncElasticsearch

from nexxus.errors import ServiceUnavailable


class Refreshes:
    """Refreshes indices, once for all waiting callers."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[str, asyncio.Task[None]] = {}

    async def refresh(self, client: AsyncElasticsearch, index: str) -> None:
        """Return when everything that was committed before the call can be found.

        No such index is fine. Raises `ServiceUnavailable` when a shard could not be refreshed.
        """
        waiting = self._next.get(index)
        if waiting is None:
            waiting = self._next[index] = asyncio.create_task(self._refresh(client, index))
            waiting.add_done_callback(_take_notice)
        # One who waits may be cancelled; the others go on waiting.
        await asyncio.shield(waiting)

    async def _refresh(self, client: AsyncElasticsearch, index: str) -> None:
        async with self._locks[index]:
            del self._next[index]  # a later caller may have written after this refresh began
            answer = await client.indices.refresh(index=index, ignore_unavailable=True)
            if answer["_shards"]["failed"]:
                raise ServiceUnavailable(
                    f"{index} could not be refreshed on every shard; see GET _cluster/health"
                )


def _take_notice(task: asyncio.Task[None]) -> None:
    """Retrieve the exception, because all callers may have been cancelled."""
    if not task.cancelled():
        task.exception()
