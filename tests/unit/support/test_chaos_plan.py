"""The plan of faults that a seed gives."""

from __future__ import annotations

from collections import Counter

from chaos.plan import NODES, SERVICES, Kind, plan


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    assert list(plan(7, 100)) == list(plan(7, 100))
    assert list(plan(7, 100)) != list(plan(8, 100))


def test_a_longer_plan_begins_with_the_shorter_one() -> None:
    assert list(plan(7, 100))[:40] == list(plan(7, 40))


def test_forty_faults_have_every_kind_every_node_and_every_service() -> None:
    faults = list(plan(7, 40))
    assert {fault.kind for fault in faults} >= set(Kind)
    ended = Counter(fault.target for fault in faults if fault.kind in (Kind.KILL, Kind.RESTART))
    assert ended.keys() == {*NODES, *SERVICES}
    assert ended["redis"] == 3


def test_a_fault_of_everybody_is_about_each_nodes_link() -> None:
    (fault, *_) = (each for each in plan(7, 40) if each.target.startswith("*"))
    service = fault.target.removeprefix("*>")
    assert fault.links == {(node, service) for node in NODES}
