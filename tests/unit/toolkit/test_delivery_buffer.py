"""The buffer between a server that delivers and a consumer that takes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexxus.toolkit.delivery_buffer import BufferedMessage, DeliveryBuffer

HERE, THERE = "here", "there"


def filled(*keys: str, prefetch: int = 100, source: str = HERE) -> DeliveryBuffer:
    """A buffer with a delivery per key; the payloads count from 1."""
    buffer = DeliveryBuffer(prefetch)
    for number, key in enumerate(keys, 1):
        buffer.add(BufferedMessage(source, number, key, number))
    return buffer


def payloads(deliveries: list[BufferedMessage]) -> list[Any]:
    return [delivery.payload for delivery in deliveries]


def test_prefetch_limits_the_deliveries_taken():
    buffer = filled("a", "b", "c", prefetch=2)
    first = buffer.take(10)
    assert payloads(first) == [1, 2]
    assert buffer.take(10) == []
    buffer.finish(first[:1])
    assert payloads(buffer.take(10)) == [3]


async def test_a_retried_delivery_precedes_later_ones_of_its_key_and_blocks_no_others():
    buffer = filled("a", "a", "b")
    buffer.retry(buffer.take(1), 3600)
    assert payloads(buffer.take(10)) == [3]
    buffer.drop(THERE)
    assert buffer.take(10) == []


async def test_an_immediate_retry_comes_first_with_another_attempt():
    buffer = filled("a", "a", "b")
    buffer.retry(buffer.take(1), 0)
    taken = buffer.take(10)
    assert payloads(taken) == [1, 2, 3]
    assert [delivery.attempts for delivery in taken] == [1, 0, 0]


async def test_the_end_of_a_delay_wakes_the_consumer():
    buffer = filled("a", "a")
    buffer.retry(buffer.take(1), 0.01)
    buffer.awake.clear()
    assert buffer.take(1) == []
    await asyncio.wait_for(buffer.awake.wait(), 10)
    assert payloads(buffer.take(10)) == [1, 2]


async def test_of_a_closed_source_only_taken_deliveries_remain():
    buffer = filled("a", "a", "b", "c")
    first, second, third = buffer.take(3)
    buffer.end(HERE)
    buffer.add(BufferedMessage(HERE, 9, "d", 9))
    assert buffer.take(10) == []
    assert buffer.is_out(HERE)
    assert buffer.finish([first]) == [first]
    buffer.retry([second, third], 0)
    assert not buffer.is_out(HERE)
    assert buffer.take(10) == []


async def test_deliveries_of_a_lost_source_are_dropped():
    buffer = filled("a", "b", "a")
    taken = buffer.take(2)
    buffer.drop(HERE)
    buffer.add(BufferedMessage(THERE, 1, "a", "new"))
    assert buffer.out(taken) == buffer.finish(taken) == []
    buffer.retry(taken, 0)
    assert payloads(buffer.take(10)) == ["new"]


async def test_a_lost_source_does_not_block_the_keys_of_another():
    buffer = filled("a")
    buffer.retry(buffer.take(1), 3600)
    buffer.add(BufferedMessage(THERE, 1, "a", "other"))
    assert buffer.take(10) == []
    buffer.drop(HERE)
    assert payloads(buffer.take(10)) == ["other"]


@settings(max_examples=2 * settings.default.max_examples)
@given(
    st.lists(st.sampled_from("abc"), max_size=20),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["settle", "retry"])), max_size=40),
)
def test_nothing_is_lost_or_reordered_within_a_key(keys: list[str], steps: list[tuple[int, str]]):
    async def run() -> None:
        buffer = filled(*keys)
        settled: dict[str, list[int]] = defaultdict(list)

        def settle(deliveries: list[BufferedMessage]) -> None:
            for delivery in buffer.finish(deliveries):
                settled[delivery.key].append(delivery.payload)

        for limit, verdict in steps:
            batch = buffer.take(limit)
            if verdict == "settle":
                settle(batch)
            else:
                buffer.retry(batch, 0)
        settle(buffer.take(100))
        expected: dict[str, list[int]] = defaultdict(list)
        for number, key in enumerate(keys, 1):
            expected[key].append(number)
        assert settled == expected

    asyncio.run(run())
