"""Writing objects: validation by the API, publishing to the writer, and waiting."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from objects_world import ANN, BEN, DEVICE, NOBODY, READER, WITH_USERS, ObjectsWorld
from waiting import eventually

from nexxus.cluster.messages import Outcome
from nexxus.domain.identity import Identity
from nexxus.domain.operations import AnyOperation, Create, Delete, Fate, OperationError, Update
from nexxus.errors import (
    AccessDenied,
    InvalidParameters,
    ModelNotFound,
    NotFound,
    ServiceUnavailable,
    VersionConflict,
)
from nexxus.interfaces.broker import EVENTS, WRITES
from nexxus.objects.writes import Accepted, Terms

contract = partial(pytest.mark.contract, "2. Applications and schemas")

TITLE = {"op": "replace", "path": "title", "value": "two"}
CONFLICT = OperationError("VersionConflictException", "it has another version")
DENIED = OperationError("AccessDeniedException", "you may not change this task")


async def create(
    world: ObjectsWorld, identity: Identity = NOBODY, terms: Terms | None = None, **body: Any
) -> Accepted:
    return await world.writes.create(identity, "task", body, terms or Terms())


async def update(
    world: ObjectsWorld, identity: Identity = NOBODY, id: str = "t", terms: Terms | None = None
) -> Accepted:
    return await world.writes.update(
        identity, "task", id, patch=TITLE, if_version=None, terms=terms or Terms()
    )


async def delete(
    world: ObjectsWorld, identity: Identity = NOBODY, id: str = "t", terms: Terms | None = None
) -> Accepted:
    return await world.writes.delete(identity, "task", id, if_version=3, terms=terms or Terms())


def queued(world: ObjectsWorld) -> list[AnyOperation]:
    """The operations published to the writer."""
    return world.broker.payloads(WRITES)


def answer(world: ObjectsWorld, **outcome: Any) -> None:
    """Make the writer respond to the waiting caller as soon as it has an operation."""

    async def settle(operation: Any) -> None:
        if operation.reply_to:
            world.writes.settle(Outcome(operation.operation_id, **outcome))

    world.broker.publishing = settle


# What the writer is handed


async def test_a_create_is_published_as_the_whole_object(world: ObjectsWorld) -> None:
    application = await world.application()
    accepted = await create(world, DEVICE, title="one")
    (operation,) = queued(world)
    assert isinstance(operation, Create)
    assert operation.data["id"] == accepted.id
    assert operation.data["title"] == "one"
    assert operation.operation_id == accepted.operation_id
    assert (operation.device_id, operation.user_id) == ("phone", None)
    assert (operation.reply_to, operation.is_retry, operation.permit) == ("", False, None)
    assert operation.application_version == world.applications.version(application.id) == 1
    assert world.broker.keys == [operation.key.partition]


async def test_an_update_is_published_as_its_patches(world: ObjectsWorld) -> None:
    await world.application()
    await update(world)
    (operation,) = queued(world)
    assert isinstance(operation, Update)
    (patch,) = operation.data
    assert (patch.path, patch.value, patch.metadata.id) == (["title"], ["two"], "t")


async def test_a_delete_is_published_with_its_expected_version(
    world: ObjectsWorld,
) -> None:
    await world.application()
    await delete(world)
    (operation,) = queued(world)
    assert isinstance(operation, Delete)
    assert (operation.key.id, operation.if_version) == ("t", 3)


@pytest.mark.contract("2. Applications and schemas", "transient creates are told to workers")
async def test_a_transient_object_skips_the_writer(
    world: ObjectsWorld,
) -> None:
    await world.application()
    accepted = await world.writes.create(NOBODY, "typing", {"text": "…"}, Terms())
    assert accepted.operation_id == ""
    assert queued(world) == []
    (event,) = world.broker.payloads(EVENTS)
    assert (event.event, event.after["text"], event.version) == ("model_created", "…", None)


@pytest.mark.parametrize("write", [update, delete])
async def test_a_transient_object_is_never_changed(world: ObjectsWorld, write: Any) -> None:
    await world.application()
    writes: dict[Any, Any] = {
        update: lambda: world.writes.update(
            NOBODY, "typing", "t", patch=TITLE, if_version=None, terms=Terms()
        ),
        delete: lambda: world.writes.delete(NOBODY, "typing", "t", if_version=None, terms=Terms()),
    }
    with pytest.raises(InvalidParameters, match="transient"):
        await writes[write]()


# What is refused at once


@pytest.mark.parametrize(
    "body", [{"nothing": 1}, {"title": 1}, {"id": "no/id"}, {"version": 2}, {"userId": "ann"}]
)
async def test_an_invalid_object_is_refused(world: ObjectsWorld, body: dict[str, Any]) -> None:
    await world.application()
    with pytest.raises((InvalidParameters, AccessDenied)):
        await create(world, **body)
    assert queued(world) == []


async def test_an_invalid_patch_is_refused(world: ObjectsWorld) -> None:
    await world.application()
    patch = {"op": "incr", "path": "title", "value": 1}
    with pytest.raises(InvalidParameters):
        await world.writes.update(NOBODY, "task", "t", patch=patch, if_version=None, terms=Terms())
    assert queued(world) == []


async def test_an_unknown_model_is_not_found(world: ObjectsWorld) -> None:
    await world.application()
    with pytest.raises(ModelNotFound):
        await world.writes.create(NOBODY, "nothing", {}, Terms())


@pytest.mark.parametrize("write", [create, update, delete])
async def test_a_caller_that_may_write_nothing_is_denied_immediately(
    world: ObjectsWorld, write: Any
) -> None:
    await world.application(WITH_USERS)
    with pytest.raises(AccessDenied):
        await write(world, READER)
    assert queued(world) == []


# What only the writer can judge


@contract("roles: writes need permission before and after")
async def test_a_change_carries_the_roles_condition_to_the_writer(
    world: ObjectsWorld,
) -> None:
    await world.application(WITH_USERS)
    await world.store({"id": "t", "userId": "ann"})
    await update(world, ANN)
    (operation,) = queued(world)
    assert operation.permit == {"userId": {"eq": "ann"}}
    assert operation.reply_to == ""


@contract("roles: writing reveals nothing about hidden objects")
@pytest.mark.parametrize("write", [update, delete])
async def test_for_a_hidden_or_missing_object_the_writer_decides(
    world: ObjectsWorld, write: Any
) -> None:
    await world.application(WITH_USERS)
    await world.store({"id": "bens", "userId": "ben"}, {"id": "gone", "userId": "ann"})
    await world.delete("gone")
    answer(world, error=DENIED)
    for name in ("bens", "gone", "never"):
        with pytest.raises(AccessDenied) as error:
            await write(world, ANN, name)
        assert error.value.operation_id == queued(world)[-1].operation_id
    assert all(operation.reply_to == "here" for operation in queued(world))


async def test_a_write_that_the_writer_permits_is_accepted_even_if_the_object_was_hidden(
    world: ObjectsWorld,
) -> None:
    await world.application(WITH_USERS)
    answer(world, document={"id": "t", "type": "task", "version": 2})
    accepted = await update(world, ANN)
    assert accepted.stored is None  # it was not asked for


async def test_without_waiting_only_a_denial_is_returned(
    world: ObjectsWorld,
) -> None:
    await world.application(WITH_USERS)
    answer(world, error=CONFLICT)
    assert (await update(world, ANN)).operation_id == queued(world)[0].operation_id


# Waiting


async def test_a_waiting_caller_gets_the_stored_object(world: ObjectsWorld) -> None:
    await world.application()
    stored = {"id": "t", "type": "task", "version": 1}
    answer(world, document=stored)
    assert (await create(world, terms=Terms(wait=5))).stored == stored
    assert queued(world)[0].reply_to == "here"


async def test_a_waiting_caller_gets_a_rejection_as_an_error(world: ObjectsWorld) -> None:
    await world.application()
    answer(world, error=CONFLICT)
    with pytest.raises(VersionConflict) as error:
        await update(world, terms=Terms(wait=5))
    assert error.value.operation_id == queued(world)[0].operation_id


async def test_after_the_timeout_the_write_is_still_accepted(world: ObjectsWorld) -> None:
    await world.application()
    accepted = await create(world, terms=Terms(wait=0.01))
    assert accepted.stored is None
    late = Outcome(queued(world)[0].operation_id, document={})
    world.writes.settle(late)  # nobody waits any more


async def test_two_callers_may_wait_for_one_operation(world: ObjectsWorld) -> None:
    await world.application()
    terms = Terms(idempotency_key="key", wait=5)
    both = [asyncio.create_task(create(world, terms=terms, title="one")) for _ in range(2)]
    await eventually(lambda: len(queued(world)) == 2)
    one, other = queued(world)
    assert one.operation_id == other.operation_id
    world.writes.settle(Outcome(one.operation_id, document={"id": "t"}))
    assert [(await each).stored for each in both] == [{"id": "t"}, {"id": "t"}]


async def test_a_waiting_caller_gets_the_transient_object(world: ObjectsWorld) -> None:
    await world.application()
    accepted = await world.writes.create(NOBODY, "typing", {"text": "…"}, Terms(wait=5))
    assert accepted.stored is not None
    assert accepted.stored["text"] == "…"


# Repetitions


async def test_a_retry_is_submitted_again_until_its_outcome_is_known(
    world: ObjectsWorld,
) -> None:
    await world.application()
    terms = Terms(idempotency_key="key")
    first = await create(world, terms=terms, title="one")
    assert await create(world, terms=terms, title="one") == first
    assert [operation.is_retry for operation in queued(world)] == [False, True]
    assert len({operation.operation_id for operation in queued(world)}) == 1
    assert len({operation.key for operation in queued(world)}) == 1


async def test_a_retry_of_an_applied_write_is_not_submitted(world: ObjectsWorld) -> None:
    await world.application()
    terms = Terms(idempotency_key="key", wait=5)
    answer(world, document={"id": "t"})
    first = await create(world, terms=terms, id="t", title="one")
    await world.store({"id": "t", "title": "since then"})
    await judged(world, "applied", version=1)

    again = await create(world, terms=terms, id="t", title="one")

    assert len(queued(world)) == 1
    assert again.operation_id == first.operation_id
    assert again.stored is not None
    assert again.stored["title"] == "since then"


async def test_a_retry_of_a_delete_returns_the_version_that_it_made(
    world: ObjectsWorld,
) -> None:
    await world.application()
    terms = Terms(idempotency_key="key", wait=0.01)
    await delete(world, terms=terms)
    await judged(world, "applied", version=4)
    again = await delete(world, terms=terms)
    assert again.stored == {"id": "t", "type": "task", "version": 4}


async def test_a_retry_of_a_rejected_write_is_rejected_too(world: ObjectsWorld) -> None:
    await world.application()
    await update(world, terms=Terms(idempotency_key="key"))
    await judged(world, "rejected", error=CONFLICT)
    with pytest.raises(VersionConflict):
        await update(world, terms=Terms(idempotency_key="key", wait=5))
    accepted = await update(world, terms=Terms(idempotency_key="key"))
    assert accepted.operation_id == queued(world)[0].operation_id


async def test_a_transient_object_is_pushed_once(world: ObjectsWorld) -> None:
    await world.application()
    terms = Terms(idempotency_key="key")
    first = await world.writes.create(NOBODY, "typing", {"text": "…"}, terms)
    assert await world.writes.create(NOBODY, "typing", {"text": "…"}, terms) == first
    assert len(world.broker.payloads(EVENTS)) == 1


async def test_a_transient_object_that_was_not_pushed_is_pushed_by_a_retry(
    world: ObjectsWorld,
) -> None:
    await world.application()
    terms = Terms(idempotency_key="key")

    async def be_away(_: Any) -> None:
        raise ServiceUnavailable("away")

    world.broker.publishing = be_away
    with pytest.raises(ServiceUnavailable):
        await world.writes.create(NOBODY, "typing", {"text": "…"}, terms)

    async def be_back(_: Any) -> None: ...

    world.broker.publishing = be_back
    await world.writes.create(NOBODY, "typing", {"text": "…"}, terms)
    assert len(world.broker.payloads(EVENTS)) == 1


async def judged(world: ObjectsWorld, state: Any, **more: Any) -> None:
    """Make the writer store the fate of the first operation."""
    operation = queued(world)[0]
    await world.registry.fates.put(
        [Fate("app", operation.operation_id, state, NOBODY.owner, **more)]
    )


# Order


async def test_a_write_signals_when_its_order_is_fixed(world: ObjectsWorld) -> None:
    await world.application()
    before: list[int] = []
    terms = Terms(on_publish=lambda: before.append(len(queued(world))))
    await create(world, terms=terms)
    await update(world, terms=terms)
    assert before == [0, 1]


async def test_a_write_refused_before_that_has_no_order(world: ObjectsWorld) -> None:
    await world.application()
    calls: list[None] = []
    with pytest.raises(InvalidParameters):
        await create(world, terms=Terms(on_publish=lambda: calls.append(None)), nothing=1)
    assert calls == []


# Fates


async def test_with_a_durable_broker_an_operation_is_recorded_as_queued(
    world: ObjectsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.application()
    monkeypatch.setattr(world.broker, "is_durable", True)
    accepted = await create(world, ANN)
    assert (await world.writes.fate(ANN, accepted.operation_id)).state == "queued"


async def test_a_fate_is_readable_only_by_its_owner(world: ObjectsWorld) -> None:
    await world.registry.fates.put([Fate("app", "op", "applied", ANN.owner, 1)])
    assert (await world.writes.fate(ANN, "op")).version == 1
    for identity, operation in ((BEN, "op"), (NOBODY, "op"), (ANN, "unknown")):
        with pytest.raises(NotFound, match="of yours"):
            await world.writes.fate(identity, operation)
