"""The writer behind a real broker, database and registry, fed with operations directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus import Config, Nexxus
from nexxus.domain.objects import ObjectKey
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Fate,
    OperationError,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.interfaces.broker import WRITER, Message

APP = "app"
KEY = ObjectKey(APP, "task", "t")


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    document = {
        "id": APP,
        "name": "App",
        "schema": {"task": {"fields": {"points": {"type": "int"}}}},
    }
    config = Config.from_mapping(
        {"server": {"data_dir": str(tmp_path)}, "applications": [document]}
    )
    async with Nexxus(config) as nexxus:
        identity = {"id": "t", "type": "task", "appId": APP, "createdAt": 1, "updatedAt": 1}
        await submit(nexxus, Create(operation_id="create", accepted_at=1, data=identity))
        yield nexxus


async def submit(nexxus: Nexxus, operation: AnyOperation) -> None:
    """Returns when the writer has settled it."""
    message = Message[AnyOperation]("\x00".join(operation.key), operation)
    await nexxus.broker.publish(WRITER, [message])


def increment(operation_id: str, *, is_retry: bool) -> Update:
    patch = QueuedPatch(
        op="incr", path=["points"], value=[1], metadata=PatchMetadata(APP, "t", "task")
    )
    return Update(operation_id=operation_id, accepted_at=2, data=[patch], is_retry=is_retry)


async def version(nexxus: Nexxus) -> int:
    (record,) = await nexxus.database.load([KEY])
    assert record is not None
    return record.version


@pytest.mark.parametrize(
    "fate",
    [
        Fate(APP, "long-ago", "applied", "u", 1),
        Fate(APP, "long-ago", "rejected", "u", error=OperationError("X", "not so")),
    ],
)
async def test_a_retry_that_was_judged_longer_ago_than_its_object_remembers_changes_nothing(
    nexxus: Nexxus, fate: Fate
) -> None:
    await nexxus.registry.put_fates([fate])

    await submit(nexxus, increment("long-ago", is_retry=True))

    assert await version(nexxus) == 1
    assert await nexxus.registry.get_fate(APP, "long-ago") == fate


async def test_a_retry_that_was_not_judged_is_applied(nexxus: Nexxus) -> None:
    await nexxus.registry.put_fates([Fate(APP, "lost", "queued", "u")])

    await submit(nexxus, increment("lost", is_retry=True))

    assert await version(nexxus) == 2
