"""The broker: durable queues in one file, for the roles of one process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    Broker,
    Consumer,
    Group,
    Mailbox,
    Message,
    Receiver,
    SetAside,
    Topic,
)
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.tasks import Tasks
from nexxus_file_queue.consumer import QueueConsumer
from nexxus_file_queue.message_store import MessageStore, NewMessage
from nexxus_file_queue.queues import Queue, Queues, queues_of
from nexxus_file_queue.settings import FileQueueSettings

T = TypeVar("T")


class FileQueueBroker(Broker):
    """Stores a message once for each group, and keeps a copy of what is stored in memory."""

    is_durable: ClassVar[bool] = True

    def __init__(self, settings: FileQueueSettings, *, data_dir: Path, logger: Logger) -> None:
        self._store = MessageStore(data_dir / settings.path)
        self._limit = settings.queue_limit
        self._logger = logger
        self._queues: Queues = {}
        self._mailboxes: dict[str, MemoryReceiver[Any]] = {}
        self._publishing: set[asyncio.Future[None]] = set()
        self._tasks: Tasks | None = None

    async def open(self) -> None:
        self._queues = queues_of(*await self._store.open())
        self._tasks = Tasks(asyncio.get_running_loop(), self._logger)

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        if self._publishing:
            await asyncio.wait(self._publishing)
        await tasks.cancel()
        for queue in self._queues.values():
            queue.close()
        for receiver in list(self._mailboxes.values()):
            await receiver.close()
        await self._store.close()

    async def ping(self) -> None:
        self._require_open()

    async def declare(self, group: Group[Any]) -> None:
        self._require_open()
        if group.name not in self._queues:
            await self._store.add_group(group.name, group.topic.name)
            self._queues.setdefault(group.name, Queue(group.name, group.topic.name))

    async def remove(self, group: Group[Any]) -> None:
        self._require_open()
        queue = self._queues.pop(group.name, None)
        if queue is not None:
            queue.close()
            await self._store.remove_group(group.name)

    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        self._require_open()
        queues = [queue for queue in self._queues.values() if queue.topic == topic.name]
        if messages and not queues:
            raise ServiceUnavailable(f"the topic {topic.name} has no group")
        await self._add(queues, messages)

    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        await self._add([self._queue(group)], messages)

    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        self._require_open()
        receiver = self._mailboxes.get(mailbox.name)
        if receiver is not None:
            receiver.add(messages)

    async def consume(self, group: Group[T], *, prefetch: int, set_aside: SetAside) -> Consumer[T]:
        tasks, queue = self._require_open(), self._queue(group)
        return QueueConsumer(
            group, queue, self._store, prefetch=prefetch, set_aside=set_aside, tasks=tasks
        )

    async def receive(self, mailbox: Mailbox[T]) -> Receiver[T]:
        self._require_open()
        receiver: MemoryReceiver[T] = MemoryReceiver(
            on_close=lambda: self._mailboxes.pop(mailbox.name, None)
        )
        self._mailboxes[mailbox.name] = receiver
        return receiver

    async def depth(self, group: Group[Any]) -> int:
        self._require_open()
        queue = self._queues.get(group.name)
        return 0 if queue is None else queue.depth

    async def _add(self, queues: Sequence[Queue], messages: Sequence[Message[Any]]) -> None:
        for queue in queues:
            queue.check_room(len(messages), self._limit)
        encoded = [(message.key, msgspec.json.encode(message.payload)) for message in messages]
        # A caller that is cancelled must not leave messages in the file that are not in memory.
        storing = asyncio.ensure_future(self._store_for(queues, encoded))
        self._publishing.add(storing)
        storing.add_done_callback(self._publishing.discard)
        await asyncio.shield(storing)

    async def _store_for(self, queues: Sequence[Queue], messages: list[tuple[str, bytes]]) -> None:
        for queue in queues:
            queue.depth += len(messages)
        new = [NewMessage(queue.group, *each) for queue in queues for each in messages]
        try:
            stored = await self._store.add(new)
        except BaseException:
            for queue in queues:
                queue.depth -= len(messages)
            raise
        for number, queue in enumerate(queues):
            start = number * len(messages)
            queue.add(stored[start : start + len(messages)])

    def _queue(self, group: Group[Any]) -> Queue:
        self._require_open()
        queue = self._queues.get(group.name)
        if queue is None:
            raise ServiceUnavailable(f"the group {group.name} is not declared")
        return queue

    def _require_open(self) -> Tasks:
        if self._tasks is None:
            raise ServiceUnavailable("the broker is not open")
        return self._tasks


class MemoryReceiver(Receiver[T], Generic[T]):
    """The reader of a mailbox, and the mailbox itself: both end with the process."""

    def __init__(self, on_close: Callable[[], object]) -> None:
        self._messages: deque[T] = deque()
        self._awake = asyncio.Event()
        self._on_close = on_close
        self._is_closed = False

    def add(self, messages: Sequence[T]) -> None:
        """Append messages."""
        self._messages.extend(messages)
        self._awake.set()

    async def take(self, limit: int) -> list[T]:
        while not self._messages:
            self._awake.clear()
            await self._awake.wait()
        return [self._messages.popleft() for _ in range(min(limit, len(self._messages)))]

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._on_close()
