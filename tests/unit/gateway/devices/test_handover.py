"""Joining two nodes' deliveries of the same events."""

from __future__ import annotations

from deliveries import verdicts
from hypothesis import given
from hypothesis import strategies as st

from nexxus.cluster.messages import Delivery
from nexxus.gateway.devices.handover import join

KEYS = ("k1", "k2", "k3")


def delivery(id: str, version: int | None, *keys: str, event_id: str = "") -> Delivery:
    return Delivery(
        "a", "task", id, version, verdicts=verdicts(updated=list(keys)), event_id=event_id
    )


def facts(deliveries: list[Delivery]) -> list[tuple[str, int | None, list[str]]]:
    return [(each.id, each.version, sorted(each.verdicts)) for each in deliveries]


def test_events_that_both_nodes_have_are_sent_once() -> None:
    assert facts(join([delivery("t", 1, "k1")], [delivery("t", 1, "k1")])) == [("t", 1, ["k1"])]


def test_the_keys_of_both_nodes_are_merged() -> None:
    joined = join([delivery("t", 1, "k1")], [delivery("t", 1, "k2")])

    assert facts(joined) == [("t", 1, ["k1", "k2"])]


def test_for_a_key_that_both_have_the_first_node_decides() -> None:
    again = Delivery(
        "a", "task", "t", 1, object={"id": "t"}, verdicts=verdicts(created=["k1", "k2"])
    )

    [joined] = join([delivery("t", 1, "k1")], [again])

    assert joined.verdicts == verdicts(updated=["k1"], created=["k2"])
    assert joined.object == {"id": "t"}


def test_transient_events_are_distinguished_by_their_ids() -> None:
    one = delivery("cursor", None, "k1", event_id="e1")
    two = delivery("cursor", None, "k1", event_id="e2")

    assert join([one, two], [two]) == [one, two]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sets(st.sampled_from(KEYS), min_size=1))),
    st.fixed_dictionaries({key: st.integers(0, 20) for key in KEYS}),
    st.fixed_dictionaries({key: st.integers(0, 4) for key in KEYS}),
)
def test_whenever_a_subscription_moved_each_event_is_sent_once_in_order(
    history: list[tuple[str, set[str]]], moved_at: dict[str, int], overlap: dict[str, int]
) -> None:
    """Until its move a key's events reached the former node, and from shortly before it both."""
    handed, own, whole = [], [], {}
    versions = {"a": 0, "b": 0}
    for number, (object_id, keys) in enumerate(history):
        version = versions[object_id] = versions[object_id] + 1
        whole[object_id, version] = sorted(keys)
        before = [key for key in sorted(keys) if number < moved_at[key]]
        since = [key for key in sorted(keys) if number >= moved_at[key] - overlap[key]]
        handed += [delivery(object_id, version, *before)] if before else []
        own += [delivery(object_id, version, *since)] if since else []

    joined = join(handed, own)

    assert {(each.id, each.version): sorted(each.verdicts) for each in joined} == (whole)
    assert len(joined) == len(whole)
    for object_id in versions:
        told = [each.version for each in joined if each.id == object_id]
        assert told == list(range(1, versions[object_id] + 1))
