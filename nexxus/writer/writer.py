"""The writer role: turns batches of operations into committed records and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Final

import msgspec

from nexxus.applications.applications import Applications
from nexxus.cluster.consuming import Failure, consume
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.cluster.messages import Outcome
from nexxus.domain.objects import ObjectKey, time_of
from nexxus.domain.operations import AnyOperation, Create, Fate, owner_of
from nexxus.errors import ModelNotFound, ServerError, ServiceUnavailable, WireError
from nexxus.interfaces.broker import WRITER, Broker, Consumer, Received
from nexxus.interfaces.database import Database, Mutation, Record
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.observability.figures import counter
from nexxus.writer.announcer import Announcer
from nexxus.writer.apply import Repeated, apply_operation
from nexxus.writer.judgements import Judgement, as_stored, outcome_again
from nexxus.writer.memory import OPERATIONS_REMEMBERED, is_remembered, may_have_forgotten
from nexxus.writer.outbox import Outbox

_DOUBT: Final = 5_000
"""Milliseconds after which an accepted operation may have gone to another writer. No two clocks of
the API's nodes must differ by more."""


class WriterFigures(msgspec.Struct):
    """The figures of the writer."""

    applied: Annotated[int, counter("Writes that were applied to objects.")] = 0
    rejected: Annotated[
        int, counter("Accepted writes that did not apply to the current object.")
    ] = 0
    repeated: Annotated[
        int, counter("Writes received again after they had been applied or rejected.")
    ] = 0
    batches: Annotated[int, counter("Batches of writes that were processed.")] = 0


class _MayBeStored(Exception):
    """A round failed after some of it may have been stored."""

    def __init__(self, error: ServiceUnavailable) -> None:
        super().__init__(error.message)
        self.error = error


class Writer:
    """Applies operations in the order of their object's partition.

    One round: load the records, apply the operations of each object in turn, commit one mutation
    per object, announce the events, store the fates, settle the messages. If a compare-and-set
    fails, because a predecessor that was cut off still wrote, the object is loaded and the
    operations are applied again.

    With an `outbox` the events are committed together with the objects, for a broker that would
    lose them.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        database: Database,
        broker: Broker,
        registry: Registry,
        announcer: Announcer,
        dead_letters: DeadLetters,
        outbox: Outbox | None,
        logger: Logger,
        batch: int,
        largest_object: int,
    ) -> None:
        self.figures = WriterFigures()
        self._applications = applications
        self._database = database
        self._broker = broker
        self._registry = registry
        self._logger = logger
        self._announcer = announcer
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._batch = batch
        self._largest_object = largest_object

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first."""
        if self._outbox is not None:
            await self._outbox.recover()
        await consume(
            self._broker,
            WRITER,
            self._process,
            batch=self._batch,
            dead_letters=self._dead_letters,
            logger=self._logger,
            give_up=self._give_up,
        )

    async def _give_up(self, message: Received[AnyOperation], _: Exception) -> None:
        """Reject an operation that could not be processed."""
        self.figures.rejected += 1
        judgement = Judgement()
        judgement.reject(
            message.payload,
            ServerError("this write cannot be processed; it is kept among the dead letters"),
        )
        await self._announcer.announce([judgement])
        await self._announcer.report([judgement])

    async def _process(
        self, consumer: Consumer[AnyOperation], batch: Sequence[Received[AnyOperation]]
    ) -> Sequence[Failure[AnyOperation]]:
        self.figures.batches += 1
        remaining = list(batch)
        is_first = True
        try:
            await self._catch_up_with(batch)
            while remaining:
                remaining = await self._round(consumer, remaining, is_first=is_first)
                is_first = False
        except _MayBeStored as failure:
            self._logger.warning("a batch of writes was not finished", reason=failure.error.message)
            await self._finish_later(consumer, remaining, failure.error)
        except ServiceUnavailable as error:
            self._logger.warning("a batch of writes was not stored", reason=error.message)
            await consumer.refuse(remaining, error)
        except ModelNotFound as error:
            # An application was dropped between judging and storing. Each operation is judged
            # again once that is known here: those of other applications are in this batch too.
            self._logger.warning("a batch of writes was not stored", reason=error.message)
            await consumer.retry(remaining, 0.1)
        return ()

    async def _finish_later(
        self,
        consumer: Consumer[AnyOperation],
        messages: list[Received[AnyOperation]],
        error: ServiceUnavailable,
    ) -> None:
        """Refuse what is certainly not stored; anything else must still be announced."""
        unfinished = messages
        if any(message.is_waiting for message in messages):
            keys = list({message.payload.key for message in messages})
            with suppress(ServiceUnavailable):
                records = dict(zip(keys, await self._database.load(keys), strict=True))
                unfinished = [m for m in messages if _is_applied(m.payload, records)]
        ids = {message.payload.operation_id for message in unfinished}
        await consumer.retry(unfinished, 1.0, failed=False)
        await consumer.refuse([m for m in messages if m.payload.operation_id not in ids], error)

    async def _catch_up_with(self, batch: Sequence[Received[AnyOperation]]) -> None:
        """Load each application in at least the version with which the API checked these."""
        versions: dict[str, int] = {}
        for message in batch:
            operation = message.payload
            app_id, version = operation.key.app_id, operation.application_version
            versions[app_id] = max(version, versions.get(app_id, 0))
        for app_id, version in versions.items():
            await self._applications.catch_up(app_id, version)

    async def _round(
        self,
        consumer: Consumer[AnyOperation],
        batch: list[Received[AnyOperation]],
        *,
        is_first: bool,
    ) -> list[Received[AnyOperation]]:
        """Handle what can be handled now. Returns the messages that need another round."""
        by_key, later = _group(batch)
        keys = list(by_key)
        records = await self._load(by_key, trusting=is_first)
        judged = await self._judged_before(by_key, records, is_first=is_first)
        judgements = {
            key: self._apply_all(key, records[key], messages, judged)
            for key, messages in by_key.items()
        }
        mutations = [
            Mutation(key, records[key], record)
            for key, (record, _) in judgements.items()
            if record is not None and record is not records[key]
        ]
        try:
            won = await self._commit(mutations, judgements)
            lost = {mutation.key for mutation, w in zip(mutations, won, strict=True) if not w}
            done = [key for key in keys if key not in lost]
            announced = [judgements[key][1] for key in done]
            await self._announcer.announce(announced)
            # A publisher that waits answers its client first: the answer names the operation, and
            # then the client knows what it is told of. Others were answered: a crash after settling
            # would leave them without the outcome.
            settled = [message for key in done for message in by_key[key]]
            await consumer.settle([message for message in settled if message.is_waiting])
            await self._announcer.report(announced)
            await consumer.settle([message for message in settled if not message.is_waiting])
        except ServiceUnavailable as error:
            raise _MayBeStored(error) from error
        again = [message for key in keys if key in lost for message in by_key[key]]
        return again + later

    async def _commit(
        self,
        mutations: Sequence[Mutation],
        judgements: Mapping[ObjectKey, tuple[Record | None, Judgement]],
    ) -> list[bool]:
        if not mutations:
            return []
        if self._outbox is None:
            return await self._database.commit(mutations)
        events = [
            event
            for mutation in mutations
            for event in judgements[mutation.key][1].events
            if not event.repeated
        ]
        return await self._outbox.commit(mutations, events)

    async def _load(
        self, by_key: dict[ObjectKey, list[Received[AnyOperation]]], *, trusting: bool
    ) -> dict[ObjectKey, Record | None]:
        """Return what is stored of each object.

        A create is nearly always for a new object. If the writer is `trusting`, it assumes so and
        does not load the object. If that was wrong, the compare-and-set fails, and the next round
        loads it.
        """
        asked = [
            key
            for key, (first, *_) in by_key.items()
            if not (trusting and isinstance(first.payload, Create)) or _comes_again(first)
        ]
        records: dict[ObjectKey, Record | None] = dict.fromkeys(by_key)
        if asked:
            records.update(zip(asked, await self._database.load(asked), strict=True))
        return records

    async def _judged_before(
        self,
        by_key: dict[ObjectKey, list[Received[AnyOperation]]],
        records: dict[ObjectKey, Record | None],
        *,
        is_first: bool,
    ) -> dict[str, Fate]:
        """Return the fates of the operations that were judged and announced before.

        A record names the operations that were last applied to it, so that none is applied twice.
        It does not name older ones or rejected ones; the fates do. They are read after the records:
        the fates of a round are stored before the next round commits. So an operation that was
        applied to a loaded record, but is not named there, has a fate.

        A writer that was slow or frozen may have lost its partition without knowing it. Another
        writer may then have judged everything that this one has in hand, and much more. So fates
        are also read for what is not certainly new.
        """
        asked = [
            message.payload
            for key, messages in by_key.items()
            for message in messages
            if _comes_again(message)
            or _is_applied(message.payload, records)
            or (
                self._broker.is_durable  # else there is no other writer
                and not (is_first and _is_new(message.payload, records[key]))
            )
        ]
        if not asked:
            return {}
        fates = await asyncio.gather(
            *(self._registry.fates.get(each.key.app_id, each.operation_id) for each in asked)
        )
        return {
            fate.operation_id: fate for fate in fates if fate is not None and fate.state != "queued"
        }

    def _apply_all(
        self,
        key: ObjectKey,
        record: Record | None,
        messages: list[Received[AnyOperation]],
        judged: Mapping[str, Fate],
    ) -> tuple[Record | None, Judgement]:
        judgement = Judgement()
        for message in messages:
            operation = message.payload
            fate = judged.get(operation.operation_id)
            if fate is None:
                record = self._apply(key, record, operation, len(messages), judgement)
            else:
                self.figures.repeated += 1
                judgement.outcomes.append((operation, outcome_again(key, record, fate)))
        judgement.leave_out_repetitions()
        return record, judgement

    def _apply(
        self,
        key: ObjectKey,
        record: Record | None,
        operation: AnyOperation,
        committed_together: int,
        judgement: Judgement,
    ) -> Record | None:
        """Return the record after one operation; add what is to be announced to `judgement`."""
        try:
            applied = apply_operation(
                operation,
                record,
                self._applications.get(key.app_id),
                largest=self._largest_object,
                committed_together=committed_together,
            )
        except WireError as error:
            self.figures.rejected += 1
            judgement.reject(operation, error)
            return record
        if isinstance(applied, Repeated):
            self.figures.repeated += 1
            following, version = record, applied.version
        else:
            self.figures.applied += 1
            following, version = applied.record, applied.record.version
        assert following is not None
        judgement.events.append(applied.event)
        owner = owner_of(operation.user_id, operation.device_id)
        judgement.fates.append(Fate(key.app_id, operation.operation_id, "applied", owner, version))
        if operation.reply_to:
            stored = as_stored(key, following)
            judgement.outcomes.append((operation, Outcome(operation.operation_id, stored)))
        return following


def _group(
    batch: list[Received[AnyOperation]],
) -> tuple[dict[ObjectKey, list[Received[AnyOperation]]], list[Received[AnyOperation]]]:
    """Group the messages by object, in order. The rest waits for the next round.

    A record remembers the last `OPERATIONS_REMEMBERED` operations. If one commit had more for an
    object, a repeated one might not be recognised after a crash.
    """
    by_key: dict[ObjectKey, list[Received[AnyOperation]]] = {}
    later = []
    for message in batch:
        messages = by_key.setdefault(message.payload.key, [])
        if len(messages) < OPERATIONS_REMEMBERED:
            messages.append(message)
        else:
            later.append(message)
    return by_key, later


def _is_applied(operation: AnyOperation, records: Mapping[ObjectKey, Record | None]) -> bool:
    record = records[operation.key]
    return record is not None and is_remembered(record.memory, operation.operation_id)


def _comes_again(message: Received[AnyOperation]) -> bool:
    """Return whether an operation may have come before, from its client or from the broker."""
    return message.payload.is_retry or message.attempts > 0


def _is_new(operation: AnyOperation, record: Record | None) -> bool:
    """Return whether no other writer can have judged an operation that is delivered once.

    It was accepted just now, and after those that the object has forgotten.
    """
    made_at = time_of(operation.operation_id)
    if made_at < time.time() * 1000 - _DOUBT:
        return False
    return record is None or not may_have_forgotten(record.memory, made_at - _DOUBT)
