"""What the tests of a broker are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from nexxus.cluster.messages import NodeMessage, SubscriptionChanged
from nexxus.domain.events import Event
from nexxus.interfaces.broker import Consumer, Message, Queue, Received, worker_queue

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

A_MOMENT = 0.1
"""Seconds for which something must not happen."""


def new_queue() -> Queue[Event]:
    """A partitioned queue that nobody else uses."""
    return worker_queue(f"kit-{uuid4().hex}")


def event(key: str, number: int) -> Message[Event]:
    """The `number`-th message of a key."""
    document = {"id": key, "type": "task", "appId": "kit", "version": number, "title": "é ✓"}
    payload = Event("model_created", "kit", "task", key, number, before=None, after=document)
    return Message(key, payload)


def node_message(device_id: str) -> Message[NodeMessage]:
    """A message for a node."""
    return Message(device_id, SubscriptionChanged("kit", device_id))


def facts(messages: list[Received[Event]]) -> list[tuple[str, int]]:
    """The key and number of each message."""
    return [(message.key, message.payload.version or 0) for message in messages]


async def take(
    consumer: Consumer[T], wanted: int, *, limit: int | None = None, settle: bool = True
) -> list[Received[T]]:
    """Take until `wanted` messages have come; fails when they do not."""
    taken: list[Received[T]] = []
    async with asyncio.timeout(PATIENCE):
        while len(taken) < wanted:
            batch = await consumer.take(limit or wanted - len(taken))
            if settle:
                await consumer.settle(batch)
            taken.extend(batch)
    return taken


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - a broker does not tell
            await asyncio.sleep(0.02)


async def is_quiet(consumer: Consumer[Any]) -> bool:
    """Whether nothing comes for a moment; what comes all the same is lost to the test."""
    task = asyncio.create_task(consumer.take(1))
    done, _ = await asyncio.wait((task,), timeout=A_MOMENT)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done
