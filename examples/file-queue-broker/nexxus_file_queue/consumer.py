"""Consumers: the members of groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Consumer, Group, Received, SetAside, Undecodable
from nexxus.toolkit.tasks import Tasks
from nexxus_file_queue.message_store import MessageStore
from nexxus_file_queue.queues import Entry, Queue

T = TypeVar("T")

_AGAIN_AFTER = 1.0
"""Seconds until a message is delivered again that was refused, or could not be set aside."""


class QueueConsumer(Consumer[T], Generic[T]):
    """One member of a group."""

    def __init__(
        self,
        group: Group[T],
        queue: Queue,
        store: MessageStore,
        *,
        prefetch: int,
        set_aside: SetAside,
        tasks: Tasks,
    ) -> None:
        self._queue = queue
        self._store = store
        self._prefetch = prefetch
        self._set_aside = set_aside
        self._tasks = tasks
        self._decode = msgspec.json.Decoder(group.topic.payload).decode
        self._out: dict[int, Entry] = {}
        self._awake = asyncio.Event()
        queue.join(self, self._awake.set)

    async def take(self, limit: int) -> list[Received[T]]:
        while True:
            self._awake.clear()
            if self._queue.is_closed:
                raise ServiceUnavailable("the broker is closed, or the group was removed")
            room = min(limit, self._prefetch - len(self._out))
            received = [
                message
                for entry in self._queue.take(self, room)
                if (message := self._receive(entry)) is not None
            ]
            if received:
                return received
            await self._awake.wait()

    async def settle(self, messages: Sequence[Received[T]]) -> None:
        entries = self._held(messages)
        await self._store.remove([entry.number for entry in entries])
        self._queue.forget(self._let_go(entries))

    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        entries = self._held(messages)
        if failed:
            await self._store.count_attempt([entry.number for entry in entries])
        entries = self._let_go(entries)
        for entry in entries:
            entry.attempts += failed
        self._queue.give_back(entries, delay)

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:
        # Every message is stored, so no publisher waits for it.
        await self.retry(messages, _AGAIN_AFTER, failed=False)

    async def close(self) -> None:
        self._queue.leave(self)
        self._queue.give_back(self._let_go(list(self._out.values())))

    def _receive(self, entry: Entry) -> Received[T] | None:
        """Return a taken entry as a message; None if it must be set aside."""
        self._out[entry.number] = entry
        try:
            payload = self._decode(entry.body)
        except msgspec.MsgspecError as error:
            undecodable = Undecodable(entry.key, entry.body, entry.attempts, str(error))
            self._tasks.start(self._put_aside(entry, undecodable))
            return None
        return Received(entry.key, payload, entry.attempts, is_waiting=False, handle=entry)

    async def _put_aside(self, entry: Entry, undecodable: Undecodable) -> None:
        try:
            await self._set_aside(undecodable)
            await self._store.remove([entry.number])
        except ServiceUnavailable:
            self._queue.give_back(self._let_go([entry]), _AGAIN_AFTER)
        else:
            self._queue.forget(self._let_go([entry]))

    def _held(self, messages: Sequence[Received[T]]) -> list[Entry]:
        """Return the entries of those messages that this member still has."""
        return [each.handle for each in messages if each.handle.number in self._out]

    def _let_go(self, entries: Sequence[Entry]) -> list[Entry]:
        """Give entries up; return those that this member had until now."""
        return [entry for entry in entries if self._out.pop(entry.number, None) is not None]
