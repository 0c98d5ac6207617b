"""The plan of faults for a seed."""

from __future__ import annotations

from collections import Counter

from chaos.plan import NODES, SERVICES, Kind, plan


def test_the_same_seed_yields_the_same_faults() -> None:
    assert list(plan(7, 100)) == list(plan(7, 100))
    assert list(plan(7, 100)) != list(plan(8, 100))


def test_a_longer_plan_extends_a_shorter_one() -> None:
    assert list(plan(7, 100))[:40] == list(plan(7, 40))


def test_forty_faults_cover_every_kind_node_and_service() -> None:
    faults = list(plan(7, 40))
    assert {fault.kind for fault in faults} >= set(Kind)
    ended = Counter(fault.target for fault in faults if fault.kind in (Kind.KILL, Kind.RESTART))
    assert ended.keys() == {*NODES, *SERVICES}
    assert ended["redis"] == 3


def test_a_fault_for_all_nodes_affects_each_nodes_link() -> None:
    (fault, *_) = (each for each in plan(7, 40) if each.target.startswith("*"))
    service = fault.target.removeprefix("*>")
    assert fault.links == {(node, service) for node in NODES}
