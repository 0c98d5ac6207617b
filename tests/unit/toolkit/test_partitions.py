"""The partitions of keys, and the assignment of partitions to members."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nexxus.toolkit.partitions import assign, partition_of

MEMBERS = st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True)
PARTITIONS = st.integers(1, 40)


def test_a_keys_partition_is_the_same_on_every_node_and_never_changes():
    keys = ["shop\x00item\x001", "shop\x00item\x002", "é", ""]
    assert [partition_of(key, 8) for key in keys] == [2, 0, 6, 0]


@given(PARTITIONS, MEMBERS)
def test_partitions_are_spread_evenly(partitions: int, members: list[str]):
    load = Counter(assign(partitions, members))
    assert sum(load.values()) == partitions
    assert set(load) <= set(members)
    assert max(load.values()) <= -(-partitions // len(members))


@given(PARTITIONS, MEMBERS, st.randoms())
def test_all_members_compute_the_same_assignment(partitions: int, members: list[str], random):
    shuffled = random.sample(members, len(members))
    assert assign(partitions, shuffled) == assign(partitions, members)


def test_most_partitions_stay_when_a_member_leaves():
    members = [f"node-{number}" for number in range(4)]
    before, after = assign(32, members), assign(32, members[:-1])
    kept = sum(old == new for old, new in zip(before, after, strict=True))
    assert kept >= 16
