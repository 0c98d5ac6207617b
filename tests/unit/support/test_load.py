"""The checks after a load find errors."""

from __future__ import annotations

from typing import Any

import load as load_module
import pytest
from client import NexxusClient
from load import COUNTERS, Load, Verdict, judge
from view import Document


class Told(NexxusClient):
    """A client with prepared responses of a server."""

    def __init__(self) -> None:
        self.fates: dict[str, Document] = {}
        self.stored: dict[str, Document] = {}

    async def fate(self, operation_id: str) -> Document:
        return {"id": operation_id, **self.fates[operation_id]}

    async def search_all(self, model: str, **query: Any) -> list[Document]:
        return list(self.stored.values())


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def load(told: Told) -> Load:
    """A correct load: counters of three writes, one object, one deleted object."""
    load = Load()
    load.titles["kept"] = "a title"
    for object_id, count in {**dict.fromkeys(COUNTERS, 3), "kept": 1, "deleted": 2}.items():
        for version in range(1, count + 1):
            operation = f"{object_id}@{version}"
            load.operations[object_id].append(operation)
            told.fates[operation] = {"state": "applied", "version": version}
        told.stored[object_id] = {"id": object_id, "title": "counter", "version": count}
        if object_id in COUNTERS:
            told.stored[object_id]["points"] = count - 1
    told.stored["kept"]["title"] = "a title"
    del told.stored["deleted"]
    return load


async def test_a_correct_result_is_accepted(load: Load, told: Told) -> None:
    assert await judge(load, told, []) == Verdict()


@pytest.mark.parametrize(
    "fate",
    [
        {"state": "queued"},
        {"state": "rejected", "error": {"error": "ModelNotFoundException"}},
        {"state": "applied", "version": 1},
        {"state": "applied", "version": 4},
    ],
)
async def test_an_undecided_rejected_doubled_or_skipped_write_is_lost(
    load: Load, told: Told, fate: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "DECIDED_WITHIN", 0.0)
    told.fates["c2@2"] = fate
    (lost,) = (await judge(load, told, [])).lost
    assert lost.startswith("c2: ")


async def test_an_object_that_vanished_reappeared_or_has_a_wrong_count_is_lost(
    load: Load, told: Told
) -> None:
    del told.stored["kept"]
    told.stored["deleted"] = {"id": "deleted", "title": "a title", "version": 1}
    told.stored["c1"]["points"] = 3
    lost = (await judge(load, told, [])).lost
    assert [sentence.split(":")[0] for sentence in lost] == ["c1", "deleted", "kept"]


async def test_a_wrong_response_is_a_divergence(load: Load, told: Told) -> None:
    load.surprises.append("POST /model/task: 500")
    assert await judge(load, told, []) == Verdict(diverged=["POST /model/task: 500"])
