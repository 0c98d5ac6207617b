"""Many deadlines on one timer."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from nexxus.gateway.connections.deadlines import Deadlines


class FakeLoop:
    """An event loop whose time the test advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(when, callback))
        return self.timers[-1]

    def standing(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.is_done]

    def pass_until(self, now: float) -> None:
        while due := sorted(
            (t for t in self.standing() if t.when <= now), key=lambda timer: timer.when
        ):
            self.now = max(self.now, due[0].when)
            due[0].is_done = True
            due[0].callback()
        self.now = now


class FakeTimer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.is_done = False

    def cancel(self) -> None:
        self.is_done = True


class Alarm:
    """Records when it was called; asks to be called again at `again`."""

    def __init__(self, *again: float) -> None:
        self.due = inf
        self.rang: list[float] = []
        self._again = list(again)

    def on_deadline(self, now: float) -> float:
        self.rang.append(now)
        return self._again.pop(0) if self._again else inf


def make() -> tuple[Any, Deadlines]:
    loop = FakeLoop()
    return loop, Deadlines(loop)  # type: ignore[arg-type]


def test_each_deadline_is_called_on_time_with_a_single_timer() -> None:
    loop, deadlines = make()
    alarms = [Alarm() for _ in range(5)]
    for number, alarm in enumerate(alarms):
        deadlines.set(alarm, 5.0 - number)
    assert len(loop.standing()) == 1

    loop.pass_until(3.0)

    assert [alarm.rang for alarm in alarms] == [[], [], [3.0], [2.0], [1.0]]
    assert len(loop.standing()) == 1


def test_a_moved_deadline_is_called_only_at_its_new_time() -> None:
    loop, deadlines = make()
    later, sooner, never = Alarm(), Alarm(), Alarm()
    for alarm in (later, sooner, never):
        deadlines.set(alarm, 5.0)
    deadlines.set(later, 8.0)
    deadlines.set(sooner, 2.0)
    deadlines.set(never, inf)

    loop.pass_until(10.0)

    assert (later.rang, sooner.rang, never.rang) == ([8.0], [2.0], [])


def test_a_deadline_is_called_again_when_it_asks_for_it() -> None:
    loop, deadlines = make()
    alarm = Alarm(2.0, 3.0)
    deadlines.set(alarm, 1.0)

    loop.pass_until(10.0)

    assert alarm.rang == [1.0, 2.0, 3.0]


def test_deadlines_called_together_may_move_each_other() -> None:
    loop, deadlines = make()
    other = Alarm()

    class Mover(Alarm):
        def on_deadline(self, now: float) -> float:
            deadlines.set(other, 4.0)
            return super().on_deadline(now)

    deadlines.set(Mover(), 1.0)
    deadlines.set(other, 1.0)

    loop.pass_until(10.0)

    assert other.rang == [4.0]


def test_nothing_is_called_after_the_end() -> None:
    loop, deadlines = make()
    alarm = Alarm()
    deadlines.set(alarm, 1.0)
    deadlines.close()

    loop.pass_until(10.0)

    assert alarm.rang == []
    assert loop.standing() == []


def test_a_deadline_that_is_always_due_does_not_block_the_loop() -> None:
    loop, deadlines = make()
    eager, other = Alarm(*[1.0] * 1_000_000), Alarm()
    deadlines.set(eager, 1.0)
    deadlines.set(other, 1.0)

    loop.now = 1.0
    loop.standing()[0].is_done = True
    deadlines._fire()

    assert len(eager.rang) < 3
    assert other.rang == [1.0]
    assert len(loop.standing()) == 1
