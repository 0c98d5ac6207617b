"""What the tests of a broker are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from nexxus.domain.events import Event
from nexxus.interfaces.broker import (
    Broker,
    Consumer,
    Group,
    Mailbox,
    Message,
    Received,
    Topic,
    Undecodable,
)

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

A_MOMENT = 0.1
"""Seconds for which something must not happen."""


def new_topic(*, must_survive: bool = False) -> Topic[Event]:
    """Return a topic that nobody else uses."""
    return Topic(f"kit-{uuid4().hex}", Event, must_survive)


def new_group(topic: Topic[Event] | None = None) -> Group[Event]:
    """Return a group that nobody else uses, of a topic of its own where none is given."""
    return Group(topic or new_topic(), f"kit-{uuid4().hex}")


def new_mailbox() -> Mailbox[Note]:
    """Return a mailbox that nobody else uses."""
    return Mailbox(f"kit.{uuid4().hex}", Note)


class Note(msgspec.Struct, frozen=True):
    """What is sent to mailboxes."""

    text: str


async def declared(broker: Broker, topic: Topic[Event] | None = None) -> Group[Event]:
    """Declare a new group."""
    group = new_group(topic)
    await broker.declare(group)
    return group


async def consume(broker: Broker, group: Group[Event], *, prefetch: int = 1000) -> Consumer[Event]:
    """Become a member of a group whose messages can all be decoded."""
    return await broker.consume(group, prefetch=prefetch, set_aside=_unexpected)


async def _unexpected(undecodable: Undecodable) -> None:
    raise AssertionError(f"{undecodable.key} should be decodable: {undecodable.reason}")


def event(key: str, number: int) -> Message[Event]:
    """The `number`-th message of a key."""
    document = {"id": key, "type": "task", "appId": "kit", "version": number, "title": "é ✓"}
    payload = Event("model_created", "kit", "task", key, number, before=None, after=document)
    return Message(key, payload)


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
