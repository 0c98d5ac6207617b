"""Calls are batched, and each caller gets its own results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import pytest

from nexxus.toolkit.batching import Batcher

LARGEST = 10

Numbers: TypeAlias = Batcher[int, str]


class Server:
    """Responds to each number with its digits, when allowed."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.failure: Exception | None = None

    async def send(self, numbers: Sequence[int]) -> list[str]:
        self.sent.append(list(numbers))
        self.is_asked.set()
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return [str(number) for number in numbers]


@pytest.fixture
def server() -> Server:
    return Server()


async def test_calls_in_one_turn_are_sent_together_and_answered_separately(
    server: Server,
) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    results = await asyncio.gather(*(batcher.ask([n, 10 * n]) for n in range(1, 4)))
    assert results == [["1", "10"], ["2", "20"], ["3", "30"]]
    assert len(server.sent) == 1


async def test_a_caller_may_ask_again_as_soon_as_it_has_its_results(server: Server) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    async with asyncio.timeout(10):
        assert [await batcher.ask([n]) for n in (1, 2, 3)] == [["1"], ["2"], ["3"]]


async def test_calls_while_all_senders_are_busy_are_sent_together_later(server: Server) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    server.may_answer.clear()
    first = asyncio.create_task(batcher.ask([1]))
    await server.is_asked.wait()
    others = asyncio.gather(*(batcher.ask([n]) for n in (2, 3, 4)))
    server.may_answer.set()
    assert await first == ["1"]
    assert await others == [["2"], ["3"], ["4"]]
    assert server.sent == [[1], [2, 3, 4]]


async def test_batches_are_limited_and_no_callers_items_are_split(
    server: Server,
) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    await asyncio.gather(*(batcher.ask([caller] * 7) for caller in range(3)))
    assert server.sent == [[0] * 7, [1] * 7, [2] * 7]


async def test_a_caller_with_more_items_than_the_limit_gets_its_own_batch(server: Server) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    await asyncio.gather(batcher.ask([1]), batcher.ask([2] * 25), batcher.ask([3]))
    assert server.sent == [[1], [2] * 25, [3]]


async def test_the_number_of_concurrent_batches_is_limited(server: Server) -> None:
    batcher = Numbers(server.send, width=2, largest=1)
    server.may_answer.clear()
    all_of_them = asyncio.gather(*(batcher.ask([n]) for n in range(5)))
    await server.is_asked.wait()
    await asyncio.sleep(0)
    assert server.sent == [[0], [1]]
    server.may_answer.set()
    await all_of_them
    assert sorted(server.sent) == [[n] for n in range(5)]


async def test_a_failure_affects_its_whole_batch_but_not_the_next(server: Server) -> None:
    batcher = Numbers(server.send, width=2, largest=LARGEST)
    server.failure = ConnectionError("gone")
    outcomes = await asyncio.gather(*(batcher.ask([n]) for n in range(3)), return_exceptions=True)
    assert outcomes == [server.failure] * 3
    server.failure = None
    assert await batcher.ask([7]) == ["7"]


async def test_items_of_a_cancelled_caller_are_not_sent(server: Server) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    server.may_answer.clear()
    first = asyncio.create_task(batcher.ask([1]))
    await server.is_asked.wait()
    late = asyncio.create_task(batcher.ask([2]))
    await asyncio.sleep(0)
    late.cancel()
    server.may_answer.set()
    await asyncio.gather(first, late, return_exceptions=True)
    assert await batcher.ask([3]) == ["3"]
    assert server.sent == [[1], [3]]


async def test_closing_cancels_running_and_waiting_calls(server: Server) -> None:
    batcher = Numbers(server.send, largest=LARGEST)
    server.may_answer.clear()
    first = asyncio.create_task(batcher.ask([1]))
    await server.is_asked.wait()
    second = asyncio.create_task(batcher.ask([2]))
    await asyncio.sleep(0)
    await batcher.close()
    for each in (first, second):
        with pytest.raises(ConnectionAbortedError):
            await each
