"""The in-process broker: queues in memory, for the roles of one process and event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import msgspec

from nexxus.adapters.in_process.queues import Confirmation, Entry, LocalConsumer, LocalQueue
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.objects import new_id
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    WRITER,
    Broker,
    Consumer,
    DeadLetter,
    Message,
    Queue,
    QueueKind,
)

T = TypeVar("T")

_CLOSED = "the in-process broker is closed"


class InProcessBroker(Broker):
    """Hands payloads over as the objects they are: publishers must not change them afterwards.

    A writer's message is confirmed when it has been settled, so an accepted write is as durable
    as the database made it. `publish` to the writer also raises what a message is refused with,
    and `ServiceUnavailable` when it is buried or not settled within `confirm_timeout`; what was
    never delivered until then is withdrawn. Messages, dead letters included, do not survive the
    process.
    """

    confirms_settled = True

    def __init__(self, settings: InProcessBrokerSettings) -> None:
        self._settings = settings
        self._queues: dict[str, LocalQueue] = {}
        self._dead: deque[tuple[DeadLetter, Queue[Any], Any]] = deque(maxlen=settings.dead_letters)
        self._confirmations = _Confirmations(settings.confirm_timeout)
        self._is_open = False

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        for queue in self._queues.values():
            queue.close(_CLOSED)
        self._queues.clear()
        self._confirmations.close()

    async def ping(self) -> None:
        self._check_open()

    async def publish(self, queue: Queue[T], messages: Sequence[Message[T]]) -> None:
        self._check_open()
        local = self._queues.get(queue.name)
        if local is None:
            if queue.kind is QueueKind.NODE:
                return
            local = self._declare(queue)
        if not messages:
            return
        confirmation = Confirmation(len(messages)) if queue.name == WRITER.name else None
        entries = local.entries_of(messages, confirmation)
        if local.is_full:
            await local.put_when_there_is_room(entries, self._settings.publish_timeout)
        else:
            local.put(entries)
        if confirmation is not None:
            self._confirmations.watch(confirmation)
            await confirmation.future

    async def consume(self, queue: Queue[T], *, prefetch: int = 1000) -> Consumer[T]:
        self._check_open()
        local = self._queues.get(queue.name) or self._declare(queue)

        def on_bury(entry: Entry, reason: str) -> None:
            letter = DeadLetter(
                id=new_id(),
                queue=queue.name,
                key=entry.key,
                payload=msgspec.to_builtins(entry.payload),
                attempts=entry.attempts,
                reason=reason,
                buried_at=time.time(),
            )
            self._dead.append((letter, queue, entry.payload))

        def on_close() -> None:
            # A node's queue ends with its consumer: nobody will come back for it.
            if queue.kind is QueueKind.NODE and not local.consumers:
                local.close(None)
                self._queues.pop(queue.name, None)

        consumer: LocalConsumer[T] = LocalConsumer(
            local, prefetch, on_bury=on_bury, on_close=on_close
        )
        local.consumers.append(consumer)
        return consumer

    async def depth(self, queue: Queue[Any]) -> int:
        self._check_open()
        local = self._queues.get(queue.name)
        return 0 if local is None else local.depth

    async def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        self._check_open()
        letters = [letter for letter, _, _ in self._dead if queue in (None, letter.queue)]
        return letters[:limit]

    async def replay(self, ids: Collection[str]) -> int:
        self._check_open()
        found = self._take_dead(ids)
        for letter, queue, payload in found:
            local = self._queues.get(queue.name)
            if local is None:
                if queue.kind is QueueKind.NODE:
                    continue
                local = self._declare(queue)
            # Whoever published it was told of its end long ago: nobody waits.
            local.put(local.entries_of([Message(letter.key, payload)], None))
        return len(found)

    async def discard(self, ids: Collection[str]) -> int:
        self._check_open()
        return len(self._take_dead(ids))

    def _take_dead(self, ids: Collection[str]) -> list[tuple[DeadLetter, Queue[Any], Any]]:
        wanted = set(ids)
        found = [each for each in self._dead if each[0].id in wanted]
        others = [each for each in self._dead if each[0].id not in wanted]
        self._dead = deque(others, maxlen=self._dead.maxlen)
        return found

    def _declare(self, queue: Queue[Any]) -> LocalQueue:
        local = self._queues[queue.name] = LocalQueue(self._settings.queue_limit)
        return local

    def _check_open(self) -> None:
        if not self._is_open:
            raise ServiceUnavailable(_CLOSED)


class _Confirmations:
    """The publishers that wait for the writer, oldest first, and the end of their patience.

    All wait equally long, so one queue and one timer do for all: a time-out per publisher would
    cost more than the rest of publishing.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: deque[tuple[float, Confirmation]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, confirmation: Confirmation) -> None:
        """Fail it after the time-out, unless it is confirmed before."""
        waiting = self._waiting
        while waiting and waiting[0][1].future.done():
            waiting.popleft()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        waiting.append((deadline, confirmation))
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)

    def close(self) -> None:
        """Fail them all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, confirmation in self._waiting:
            confirmation.fail(ServiceUnavailable(_CLOSED))
        self._waiting.clear()

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting:
            deadline, confirmation = self._waiting[0]
            if not confirmation.future.done():
                if deadline > now:
                    self._timer = loop.call_at(deadline, self._expire)
                    return
                confirmation.abandoned = True
                confirmation.fail(
                    ServiceUnavailable(f"the writer did not confirm within {self._timeout:g} s")
                )
            self._waiting.popleft()
