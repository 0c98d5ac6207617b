"""Judgements: the outcomes of the operations on an object, announced after the commit."""

from __future__ import annotations

import msgspec

from nexxus.cluster.messages import Outcome
from nexxus.domain.events import Event
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.operations import AnyOperation, Fate, OperationError, owner_of
from nexxus.errors import WireError
from nexxus.interfaces.database import Record


class Judgement(msgspec.Struct):
    """Everything that is announced about the operations on one object."""

    events: list[Event] = []
    fates: list[Fate] = []
    outcomes: list[tuple[AnyOperation, Outcome]] = []

    def reject(self, operation: AnyOperation, error: WireError) -> None:
        """Record that the operation is not applied."""
        told = OperationError(error.name, error.message, error.details)
        fate = Fate(
            operation.key.app_id,
            operation.operation_id,
            "rejected",
            owner_of(operation.user_id, operation.device_id),
            error=told,
        )
        self.fates.append(fate)
        self.outcomes.append((operation, Outcome(operation.operation_id, error=told)))

    def leave_out_repetitions(self) -> None:
        """Remove the duplicates of an operation of which two copies are in the same batch.

        A client's retry may arrive while the first copy is still under way.
        """
        told = {event.operation_id for event in self.events if not event.repeated}
        self.events = [
            event for event in self.events if not event.repeated or event.operation_id not in told
        ]


def outcome_again(key: ObjectKey, record: Record | None, fate: Fate) -> Outcome:
    """The outcome for the callers that wait for a judged operation, with the current object."""
    if fate.error is not None or record is None:
        return Outcome(fate.operation_id, error=fate.error)
    return Outcome(fate.operation_id, as_stored(key, record))


def as_stored(key: ObjectKey, record: Record) -> Document:
    """Return what a waiting caller gets: the object, or the identity of a deleted one."""
    if record.deleted_at is None:
        return record.document
    return {"id": key.id, "type": key.type, "version": record.version}
