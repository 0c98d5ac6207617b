"""The in-process broker: topics and mailboxes in memory, for one process and event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from nexxus.adapters.in_process.broker.mailboxes import LocalMailbox
from nexxus.adapters.in_process.broker.queues import Confirmation, GroupQueue, LocalConsumer
from nexxus.adapters.in_process.broker.room import Room, wait_to_enter
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
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

T = TypeVar("T")

_CLOSED = "the in-process broker is closed"


class InProcessBroker(Broker):
    """Passes payloads on without copying: publishers must not change them afterwards.

    It stores nothing, so a message that must survive is confirmed when it is settled: an accepted
    write is as durable as the database made it. Such a `publish` also raises the error with which a
    message is refused, and `ServiceUnavailable` if a message is not settled within
    `confirm_timeout`; messages that were not delivered by then are withdrawn.
    """

    is_durable = False

    def __init__(self, settings: InProcessBrokerSettings) -> None:
        self._settings = settings
        self._topics: dict[str, dict[str, GroupQueue]] = {}
        self._mailboxes: dict[str, LocalMailbox[Any]] = {}
        self._confirmations = _Confirmations(settings.confirm_timeout)
        self._is_open = False

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        for queues in self._topics.values():
            for queue in queues.values():
                queue.close(ServiceUnavailable(_CLOSED))
        for mailbox in self._mailboxes.values():
            mailbox.shut(ServiceUnavailable(_CLOSED))
        self._topics.clear()
        self._mailboxes.clear()
        self._confirmations.close()

    async def ping(self) -> None:
        self._check_open()

    async def declare(self, group: Group[Any]) -> None:
        self._check_open()
        self._queue_of(group)

    async def remove(self, group: Group[Any]) -> None:
        self._check_open()
        queue = self._topics.get(group.topic.name, {}).pop(group.name, None)
        if queue is not None:
            queue.close(ServiceUnavailable(f"the group {group.name} was removed"))

    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        self._check_open()
        if not messages:
            return
        queues = self._topics.get(topic.name)
        if not queues:
            raise ServiceUnavailable(f"no group consumes {topic.name}")
        if not topic.must_survive:
            await self._put(queues.values(), messages, None)
            return
        confirmation = Confirmation(len(messages) * len(queues))
        await self._put(queues.values(), messages, confirmation)
        self._confirmations.watch(confirmation)
        await confirmation.future

    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        self._check_open()
        if messages:
            await self._put((self._queue_of(group),), messages, None)

    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        self._check_open()
        local = self._mailboxes.get(mailbox.name)
        if local is not None and messages:
            admitted = local.put(messages)
            if admitted is not None:
                await wait_to_enter(((local.room, admitted),), self._settings.publish_timeout)

    async def consume(
        self,
        group: Group[T],
        *,
        prefetch: int,
        set_aside: SetAside,  # noqa: ARG002 - nothing is encoded here
    ) -> Consumer[T]:
        self._check_open()
        queue = self._queue_of(group)
        consumer: LocalConsumer[T] = LocalConsumer(queue, prefetch)
        queue.consumers.append(consumer)
        return consumer

    async def receive(self, mailbox: Mailbox[T]) -> Receiver[T]:
        self._check_open()
        name = mailbox.name
        if (former := self._mailboxes.get(name)) is not None:
            await former.close()
        local: LocalMailbox[T] = LocalMailbox(
            self._settings.queue_limit, on_close=lambda: self._forget(name, local)
        )
        self._mailboxes[name] = local
        return local

    async def depth(self, group: Group[Any]) -> int:
        self._check_open()
        queue = self._topics.get(group.topic.name, {}).get(group.name)
        return 0 if queue is None else queue.depth

    async def _put(
        self,
        queues: Iterable[GroupQueue],
        messages: Sequence[Message[Any]],
        confirmation: Confirmation | None,
    ) -> None:
        """Put messages into every queue, or into the line before it.

        All at once, before anything is awaited: concurrent publishers keep one order everywhere.
        """
        waiting: list[tuple[Room, asyncio.Future[None]]] = []
        for queue in queues:
            admitted = queue.put(messages, confirmation)
            if admitted is not None:
                waiting.append((queue.room, admitted))
        if waiting:
            await wait_to_enter(waiting, self._settings.publish_timeout)

    def _queue_of(self, group: Group[Any]) -> GroupQueue:
        queues = self._topics.setdefault(group.topic.name, {})
        queue = queues.get(group.name)
        if queue is None:
            queue = queues[group.name] = GroupQueue(self._settings.queue_limit)
        return queue

    def _forget(self, name: str, mailbox: LocalMailbox[Any]) -> None:
        if self._mailboxes.get(name) is mailbox:
            del self._mailboxes[name]

    def _check_open(self) -> None:
        if not self._is_open:
            raise ServiceUnavailable(_CLOSED)


class _Confirmations:
    """The publishers that wait for the writer, oldest first, and their time-outs.

    All have the same time-out, so one queue and one timer are enough: a timer per publisher would
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
