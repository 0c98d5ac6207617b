"""The frames that leave in one turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.gateway.figures import GatewayFigures


class FakeLoop:
    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.now = 0.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class FakeConnection:
    """A connection with its wire and framing; it accepts `room` writes."""

    def __init__(self, room: float = inf, *, joins: bool = True) -> None:
        self.pending: list[bytes] = []
        self.expires = inf
        self.is_closing = False
        self.written: list[bytes] = []
        self.closed_as = ""
        self.wire = self
        self.framing = self
        self.joins = joins
        self._room = room

    def write(self, frames: bytes) -> bool:
        if len(self.written) >= self._room:
            return False
        self.written.append(frames)
        return True

    def expire(self) -> None:
        self._close("expired")

    def drop_as_slow(self) -> None:
        self._close("slow")

    def _close(self, reason: str) -> None:
        self.closed_as = reason
        self.is_closing = True
        self.pending.clear()
        self.expires = -inf


def make() -> tuple[FakeLoop, Any, GatewayFigures]:
    loop, figures = FakeLoop(), GatewayFigures()
    return loop, FrameCollector(loop, figures), figures  # type: ignore[arg-type]


def test_frames_sent_in_one_turn_leave_in_one_write() -> None:
    loop, collector, figures = make()
    one, two = FakeConnection(), FakeConnection()
    audience = {one: None, two: None}

    collector.put_all(audience, b"a")
    collector.put_all(audience, b"b")
    collector.put(one, b"c")
    collector.put_all(audience, b"d")
    assert one.written == []
    loop.turn()

    assert (one.written, two.written) == ([b"abcd"], [b"abd"])
    assert (figures.frames, figures.bytes) == (7, 7)
    loop.turn()
    assert len(one.written) == 1


def test_a_run_is_only_for_its_recipients() -> None:
    loop, collector, _ = make()
    one, two = FakeConnection(), FakeConnection()
    audience = {one: None}

    collector.put_all(audience, b"a")
    collector.end_run()
    audience[two] = None
    collector.put_all(audience, b"b")
    loop.turn()

    assert (one.written, two.written) == ([b"ab"], [b"b"])


@pytest.mark.parametrize("is_run", [True, False])
def test_only_a_slow_consumer_is_dropped(is_run: bool) -> None:
    loop, collector, figures = make()
    slow, other = FakeConnection(room=0), FakeConnection()

    collector.put_all({slow: None, other: None}, b"a")
    if not is_run:
        collector.end_run()
    loop.turn()

    assert (slow.closed_as, slow.written) == ("slow", [])
    assert (other.closed_as, other.written) == ("", [b"a"])
    assert (figures.slow_consumers, figures.bytes) == (1, 1)


@pytest.mark.parametrize("is_run", [True, False])
def test_nothing_is_sent_after_the_expiry(is_run: bool) -> None:
    loop, collector, figures = make()
    connection = FakeConnection()
    connection.expires = loop.now = 5.0

    collector.put_all({connection: None}, b"a")
    if not is_run:
        collector.end_run()
    loop.turn()

    assert (connection.closed_as, connection.written) == ("expired", [])
    assert figures.slow_consumers == 0


def test_large_frames_are_not_joined() -> None:
    loop, collector, _ = make()
    one, two = FakeConnection(), FakeConnection()
    frames = [b"a" * 50_000, b"b" * 50_000]
    audience = {one: None, two: None}

    for frame in frames:
        collector.put_all(audience, frame)
    loop.turn()

    assert all(w is f for c in (one, two) for w, f in zip(c.written, frames, strict=True))


@pytest.mark.parametrize("is_run", [True, False])
def test_frames_that_may_not_be_joined_leave_separately(is_run: bool) -> None:
    loop, collector, figures = make()
    one, two = FakeConnection(joins=False), FakeConnection(joins=False)
    frames = [b"first", b"second"]
    audience = {one: None, two: None}

    for frame in frames:
        collector.put_all(audience, frame, joins=False)
    if not is_run:
        collector.end_run()
    loop.turn()

    assert all(w is f for c in (one, two) for w, f in zip(c.written, frames, strict=True))
    assert figures.bytes == 2 * len(b"firstsecond")


def test_one_connection_may_be_flushed_before_the_others() -> None:
    loop, collector, _ = make()
    one, two = FakeConnection(), FakeConnection()

    collector.put_all({one: None, two: None}, b"a")
    collector.flush_one(one)
    assert (one.written, two.written) == ([b"a"], [])
    collector.put(one, b"b")
    loop.turn()

    assert (one.written, two.written) == ([b"a", b"b"], [b"a"])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("one"), st.integers(0, 3)),
            st.tuples(st.just("all"), st.integers(0, 2)),
            st.tuples(st.just("turn"), st.just(0)),
            st.tuples(st.just("flush one"), st.integers(0, 3)),
        )
    )
)
def test_every_connection_gets_its_frames_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    loop, collector, _ = make()
    connections = [FakeConnection() for _ in range(4)]
    audiences = [dict.fromkeys(connections[start:end]) for start, end in ((0, 4), (0, 2), (1, 3))]
    expected: dict[FakeConnection, bytes] = dict.fromkeys(connections, b"")
    for number, (step, which) in enumerate(steps):
        frame = bytes((number % 256,))
        if step == "one":
            collector.put(connections[which], frame)
            expected[connections[which]] += frame
        elif step == "all":
            collector.put_all(audiences[which], frame)
            for connection in audiences[which]:
                expected[connection] += frame
        elif step == "turn":
            loop.turn()
        else:
            collector.flush_one(connections[which])
    loop.turn()

    assert {c: b"".join(c.written) for c in connections} == expected
