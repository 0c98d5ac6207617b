"""The log of a node's deliveries."""

from __future__ import annotations

import pytest
from deliveries import verdicts
from hypothesis import given
from hypothesis import strategies as st

from nexxus.cluster.messages import Delivery
from nexxus.gateway.delivery.cursors import Cursors
from nexxus.gateway.delivery.delivery_log import DeliveryLog


def new_log(**options: float) -> DeliveryLog:
    everything = {"window": 60.0, "max_deliveries": 100, "max_bytes": 1 << 20, **options}
    window = everything.pop("window")
    log = DeliveryLog("n1", **everything)  # type: ignore[arg-type]
    log.keep(window)
    return log


def event(number: int, *keys: str) -> Delivery:
    return Delivery("a", "task", f"t{number}", number, verdicts=verdicts(updated=list(keys)))


def versions(log: DeliveryLog, key: str, seq: int) -> list[int | None] | None:
    found = log.since(key, seq)
    return None if found is None else [entry.delivery().version for entry in found]


def test_deliveries_after_a_number_are_found_in_order() -> None:
    log = new_log()
    log.hold("k")
    numbers = [log.append(event(n, "k"), 0) for n in range(5)]

    assert versions(log, "k", numbers[1]) == [2, 3, 4]
    assert versions(log, "k", numbers[4]) == []


def test_a_remembered_delivery_is_whole() -> None:
    log = new_log()
    log.hold("k")
    delivery = Delivery(
        "a", "task", "t", 1, "u", {"id": "t", "x": [1.5]}, verdicts=verdicts(created=["k", "other"])
    )
    log.append(delivery, 0)

    found = log.since("k", 0)
    assert found is not None
    assert found[0].delivery() == delivery


def test_deliveries_before_the_hold_are_unknown() -> None:
    log = new_log()
    first = log.append(event(1, "k"), 0)
    log.hold("k")

    assert log.since("k", first - 1) is None
    assert versions(log, "k", first) == []


def test_a_key_is_held_until_its_last_holder_releases_it() -> None:
    log = new_log()
    log.hold("k")
    log.hold("k")
    log.append(event(1, "k"), 0)
    log.release("k")

    assert versions(log, "k", 0) == [1]


@pytest.mark.parametrize(
    "limit", [{"max_deliveries": 2}, {"max_bytes": 1100}, {"window": 2.5}], ids=str
)
def test_the_oldest_deliveries_are_forgotten_first_and_that_is_recorded(
    limit: dict[str, float],
) -> None:
    log = new_log(**limit)
    log.hold("k")
    numbers = [log.append(event(n, "k"), now=float(n)) for n in range(6)]

    assert log.since("k", numbers[0]) is None
    assert versions(log, "k", numbers[3]) == [4, 5]


def test_forgetting_other_keys_does_not_affect_a_quiet_key() -> None:
    log = new_log(max_deliveries=2)
    log.hold("quiet")
    log.hold("busy")
    seq = log.seq
    for number in range(20):
        log.append(event(number, "busy"), 0)
    log.append(event(20, "quiet"), 0)

    assert versions(log, "quiet", seq) == [20]
    assert log.since("busy", seq) is None


def test_without_a_window_nothing_is_remembered() -> None:
    log = new_log(window=0)
    log.hold("k")
    log.append(event(1, "k"), 0)

    assert log.since("k", 0) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.sets(st.sampled_from("abc"))),
            st.tuples(st.just("hold"), st.sampled_from("abc")),
            st.tuples(st.just("release"), st.sampled_from("abc")),
        ),
        max_size=60,
    ),
    st.integers(1, 8),
)
def test_the_log_is_complete_or_says_that_it_is_not(
    steps: list[tuple[str, set[str] | str]], max_deliveries: int
) -> None:
    log = new_log(max_deliveries=max_deliveries)
    held: dict[str, int] = {}
    history: list[tuple[int, set[str]]] = []
    for number, (step, what) in enumerate(steps):
        if step == "append":
            keys = set(what)
            history.append((log.append(event(number, *sorted(keys)), 0), keys))
        elif step == "hold":
            log.hold(str(what))
            held[str(what)] = held.get(str(what), 0) + 1
        elif held.get(str(what)):
            log.release(str(what))
            held[str(what)] -= 1

    for key in (key for key, holders in held.items() if holders):
        for seq in range(log.seq + 1):
            found = log.since(key, seq)
            if found is not None:
                expected = [s for s, keys in history if s > seq and key in keys]
                assert [entry.seq for entry in found] == expected
        assert log.since(key, log.seq) == []


@given(st.integers(0, 2**62))
def test_a_cursor_is_read_by_the_start_of_the_node_that_wrote_it(seq: int) -> None:
    cursors = Cursors("n1")
    cursor = cursors.write(seq)

    assert cursors.read(cursor) == seq
    assert cursor.startswith("n1:")
    assert Cursors("n1").read(cursor) is None
    assert Cursors("n2").read(cursor) is None


@given(st.text(max_size=40))
def test_any_text_as_a_cursor_is_harmless(text: str) -> None:
    cursors = Cursors("n1")

    assert cursors.read(text) is None
    read = cursors.read(cursors.write(7) + text)
    assert read is None or read == int("7" + text)
