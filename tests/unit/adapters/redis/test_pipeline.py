"""Commands of many callers leave together, and each gets its own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from nexxus.adapters.redis.pipeline import DEPTH, Command, CommandPipeline


class Redis:
    """Answers each command with itself, when it may."""

    def __init__(self) -> None:
        self.sent: list[list[Command]] = []
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.failure: Exception | None = None

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        self.sent.append(list(commands))
        self.is_asked.set()
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return list(commands)


@pytest.fixture
def redis() -> Redis:
    return Redis()


async def test_what_is_asked_in_one_turn_is_sent_together_and_answered_apart(redis: Redis) -> None:
    pipeline = CommandPipeline(redis.send, width=1)
    answers = await asyncio.gather(
        *(pipeline.ask([("GET", number), ("TTL", number)]) for number in range(5))
    )
    assert answers == [[("GET", number), ("TTL", number)] for number in range(5)]
    assert len(redis.sent) == 1


async def test_what_is_asked_while_all_are_busy_waits_and_is_sent_together(redis: Redis) -> None:
    pipeline = CommandPipeline(redis.send, width=1)
    redis.may_answer.clear()
    first = asyncio.create_task(pipeline.ask([("GET", "first")]))
    await redis.is_asked.wait()
    others = asyncio.gather(*(pipeline.ask([("GET", number)]) for number in range(3)))
    redis.may_answer.set()
    assert await first == [("GET", "first")]
    assert await others == [[("GET", number)] for number in range(3)]
    assert [len(commands) for commands in redis.sent] == [1, 3]


async def test_no_more_than_the_depth_is_sent_at_once_and_nobodys_commands_are_torn_apart(
    redis: Redis,
) -> None:
    pipeline = CommandPipeline(redis.send, width=1)
    share = DEPTH // 3 * 2
    await asyncio.gather(*(pipeline.ask([("GET", caller)] * share) for caller in range(3)))
    assert [len(commands) for commands in redis.sent] == [share] * 3


async def test_a_failure_is_everybodys_and_the_next_goes_on(redis: Redis) -> None:
    pipeline = CommandPipeline(redis.send, width=2)
    redis.failure = ConnectionError("gone")
    outcomes = await asyncio.gather(
        *(pipeline.ask([("GET", number)]) for number in range(3)), return_exceptions=True
    )
    assert outcomes == [redis.failure] * 3
    redis.failure = None
    assert await pipeline.ask([("GET", "later")]) == [("GET", "later")]


async def test_whoever_gives_up_before_his_turn_is_not_sent(redis: Redis) -> None:
    pipeline = CommandPipeline(redis.send, width=1)
    redis.may_answer.clear()
    first = asyncio.create_task(pipeline.ask([("GET", "first")]))
    await redis.is_asked.wait()
    late = asyncio.create_task(pipeline.ask([("GET", "late")]))
    await asyncio.sleep(0)
    late.cancel()
    redis.may_answer.set()
    await asyncio.gather(first, late, return_exceptions=True)
    assert await pipeline.ask([("GET", "next")]) == [("GET", "next")]
    assert redis.sent == [[("GET", "first")], [("GET", "next")]]


async def test_closing_gives_up_what_is_under_way_and_what_waits(redis: Redis) -> None:
    pipeline = CommandPipeline(redis.send, width=1)
    redis.may_answer.clear()
    first = asyncio.create_task(pipeline.ask([("GET", "first")]))
    await redis.is_asked.wait()
    second = asyncio.create_task(pipeline.ask([("GET", "second")]))
    await asyncio.sleep(0)
    await pipeline.close()
    for each in (first, second):
        with pytest.raises(ConnectionAbortedError):
            await each
