"""An idempotency key identifies one request of one owner."""

from __future__ import annotations

from typing import Any

import pytest
from objects_world import ANN, BEN, DEVICE, NOBODY, ObjectsWorld

from nexxus.domain.identity import Identity
from nexxus.domain.operations import Fate
from nexxus.errors import InvalidParameters
from nexxus.objects.idempotency import Claim, IdempotencyKeys

REQUEST = ("create", "task", {"title": "one"})


async def claim(
    world: ObjectsWorld,
    identity: Identity = ANN,
    key: str | None = "key",
    object_id: str = "t",
    request: tuple[Any, ...] = REQUEST,
) -> tuple[Claim, Fate | None]:
    return await IdempotencyKeys(world.registry).claim(identity, key, object_id, request)


async def test_a_retry_gets_the_ids_of_the_first_request(world: ObjectsWorld) -> None:
    first, known = await claim(world, object_id="first")
    assert known is None
    again, known = await claim(world, object_id="second")
    assert again == first
    assert again.object_id == "first"
    assert known == Fate("app", first.operation_id, "queued", "user:ann")


async def test_a_retry_gets_the_outcome_of_the_first_request(world: ObjectsWorld) -> None:
    first, _ = await claim(world)
    fate = Fate("app", first.operation_id, "applied", "user:ann", 3)
    await world.registry.fates.put([fate])
    assert await claim(world) == (first, fate)


@pytest.mark.parametrize(
    "other", [("create", "task", {"title": "two"}), ("delete", "task", "t", None)]
)
async def test_a_key_used_for_another_request_is_refused(
    world: ObjectsWorld, other: tuple[Any, ...]
) -> None:
    await claim(world)
    with pytest.raises(InvalidParameters, match="choose a new one"):
        await claim(world, request=other)


async def test_the_order_of_a_bodys_keys_does_not_matter(world: ObjectsWorld) -> None:
    first, _ = await claim(world, request=("create", {"a": 1, "b": {"c": 2, "d": 3}}))
    again, _ = await claim(world, request=("create", {"b": {"d": 3, "c": 2}, "a": 1}))
    assert again == first


async def test_each_owner_has_its_own_keys(world: ObjectsWorld) -> None:
    claims = [(await claim(world, identity))[0] for identity in (ANN, BEN, DEVICE, NOBODY)]
    assert len({each.operation_id for each in claims}) == 4


async def test_a_user_has_the_same_keys_on_every_device(world: ObjectsWorld) -> None:
    first, _ = await claim(world, ANN)
    again, _ = await claim(world, Identity("app", device_id="another", user_id="ann"))
    assert again == first


async def test_without_a_key_every_request_is_new(world: ObjectsWorld) -> None:
    (first, _), (second, known) = [await claim(world, key=None) for _ in range(2)]
    assert first.operation_id != second.operation_id
    assert known is None


async def test_a_released_key_can_be_used_again(world: ObjectsWorld) -> None:
    first, _ = await claim(world)
    await IdempotencyKeys(world.registry).release(ANN, "key")
    again, known = await claim(world, request=("delete", "task", "t", None))
    assert again.operation_id != first.operation_id
    assert known is None
