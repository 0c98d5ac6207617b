"""The outbox: stores the events that custom workers have not handled yet, together with the
objects.

A broker that is not durable would lose these events with the process. So a commit also stores its
events in an internal record. The record is cleared when every worker has settled the events. Events
that are found at the next start are delivered again.

The records are slots that are reused. A batch needs one slot, and the next batch overwrites a slot
whose workers are done, so that a commit writes only one row more.

If the database is not atomic, the events are stored first. At the next start, an event is dropped
if its object does not remember the event's write.

There is one writer, which commits one batch after the other, because a broker that is not durable
serves one process only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec

from nexxus.cluster.own_records import OwnRecords
from nexxus.domain.events import Event
from nexxus.domain.schema import build_model
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Group, Message
from nexxus.interfaces.database import Database, Mutation, Record
from nexxus.interfaces.logger import Logger
from nexxus.observability.figures import gauge
from nexxus.writer.memory import OPERATIONS_REMEMBERED, is_remembered

OUTBOX: Final = build_model("outbox", {})
"""A slot: its ``body`` is a JSON list of events, empty when there are none."""

_CLEAR_AFTER: Final = 1.0
"""Seconds after which an unused slot is cleared, unless a batch has overwritten it."""

_CHUNK: Final = 200
_RETRY_DELAY: Final = 1.0

_decode = msgspec.json.Decoder(list[Event]).decode


class OutboxFigures(msgspec.Struct):
    """The figures of the outbox."""

    slots: Annotated[int, gauge("Slots of the outbox, in use or free; none is ever removed.")]
    slots_in_use: Annotated[
        int, gauge("Slots with events that custom workers, or pushes, have yet to handle.")
    ]


class Outbox:
    """Commits objects together with their events, and remembers what workers must still settle.

    `groups` are those of the workers. Without any, it only clears what removed ones left behind.
    """

    def __init__(
        self, database: Database, broker: Broker, groups: Sequence[Group[Event]], logger: Logger
    ) -> None:
        self._database = database
        self._broker = broker
        self._groups = groups
        self._logger = logger
        self._records = OwnRecords(database, OUTBOX)
        self._is_recovered = False
        self._slots = 0
        self._free: list[str] = []
        self._used: set[str] = set()
        """Free slots whose events are still stored."""
        self._unsettled: dict[str, dict[str, set[str]]] = {}
        """Slot → operation id of an event → names of the groups that have yet to settle it."""
        self._slot_of: dict[str, str] = {}
        self._doubtful: dict[str, Sequence[Event]] = {}
        """Slots of commits that failed, and may be stored all the same."""

    def figures(self) -> OutboxFigures:
        """Return what there is now."""
        return OutboxFigures(slots=self._slots, slots_in_use=len(self._unsettled))

    async def open(self) -> None:
        """Prepare the database."""
        await self._records.open()

    async def recover(self) -> None:
        """Deliver again what an earlier process left unsettled; wait for an unavailable service.

        To be called before the first commit. Later calls do nothing.
        """
        while not self._is_recovered:
            try:
                pending = await self._load()
            except ServiceUnavailable as error:
                self._logger.warning("the outbox cannot be read yet", reason=error.message)
                await asyncio.sleep(_RETRY_DELAY)
                continue
            self._is_recovered = True
            if pending:
                self._logger.info("delivering unsettled events again", events=len(pending))
                await self._deliver(pending)

    async def _load(self) -> list[Event]:
        """Read the slots, and return the events in them in the order of their objects' versions."""
        slots = {
            document["id"]: await self._committed(_decode(document["body"]))
            async for document in self._records.find()
        }
        self._slots = max((int(slot) + 1 for slot in slots), default=0)
        self._used = set(slots)
        for slot, events in slots.items():
            self._track(slot, events)
        if not self._groups:
            return []
        # One that is in two slots was committed once more, after a failure.
        pending = {event.operation_id: event for events in slots.values() for event in events}
        return sorted(pending.values(), key=lambda event: event.version or 0)

    async def commit(self, mutations: Sequence[Mutation], events: Sequence[Event]) -> list[bool]:
        """Commit mutations like `Database.commit`, together with their events.

        If this raises, the commit may still have been done. The events are then delivered at the
        next start, unless every worker settles them before, after they were published again.
        """
        if not events or not self._groups:
            return await self._database.commit(mutations)
        slot = self._take_slot()
        try:
            stored = await self._records.load(slot)
        except BaseException:
            self._free.append(slot)
            raise
        self._used.add(slot)
        try:
            entry = self._records.replacement(slot, stored, {"body": _encode(events)})
            won = await self._commit(mutations, entry)
        except BaseException:
            self._doubtful[slot] = events
            self._track(slot, events)
            raise
        lost = {m.key for m, is_won in zip(mutations, won, strict=True) if not is_won}
        self._track(slot, [event for event in events if event.key not in lost])
        return won

    def settle(self, group: str, events: Iterable[Event]) -> None:
        """Record that a worker's group has settled events. Unknown events are ignored."""
        for event in events:
            slot = self._slot_of.get(event.operation_id)
            if slot is None:
                continue
            groups = self._unsettled[slot][event.operation_id]
            groups.discard(group)
            if not groups:
                self._forget(event.operation_id)

    async def run(self) -> None:
        """Clear the slots that are not needed, until cancelled."""
        while True:
            await asyncio.sleep(_CLEAR_AFTER)
            await self.clear()

    async def clear(self) -> None:
        """Clear what every worker has settled. If this fails, the events are delivered again."""
        try:
            for slot in list(self._doubtful):
                await self._resolve(slot)
            for slot in [slot for slot in self._free if slot in self._used]:
                # A batch may have taken it meanwhile.
                if slot in self._free:
                    await self._empty(slot)
        except ServiceUnavailable as error:
            self._logger.warning("settled events are still stored", reason=error.message)

    async def _resolve(self, slot: str) -> None:
        """Find out whether a failed commit was stored; if not, stop waiting for its events."""
        record = await self._records.load(slot)
        events = self._doubtful.get(slot)
        if events is None:
            return
        is_stored = record is not None and record.document.get("body") == _encode(events)
        stored = await self._committed(events) if is_stored else []
        if self._doubtful.pop(slot, None) is None:
            return
        for event in events:
            if event not in stored and self._slot_of.get(event.operation_id) == slot:
                self._forget(event.operation_id)

    async def _empty(self, slot: str) -> None:
        self._free.remove(slot)
        try:
            await self._records.put(slot, {"body": _EMPTY})
            self._used.discard(slot)
        finally:
            self._free.append(slot)

    async def _commit(self, mutations: Sequence[Mutation], entry: Mutation) -> list[bool]:
        if self._database.is_atomic:
            *won, is_stored = await self._database.commit([*mutations, entry])
        else:
            (is_stored,) = await self._database.commit([entry])
            won = await self._database.commit(mutations) if is_stored else []
        if not is_stored:
            raise ServiceUnavailable("another process uses this one's outbox; stop one of them")
        return won

    async def _committed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return those events whose writes are stored."""
        if self._database.is_atomic or not events:
            return events
        records = await self._database.load([event.key for event in events])
        return [each for each, record in zip(events, records, strict=True) if _made(each, record)]

    async def _deliver(self, events: Sequence[Event]) -> None:
        messages = [Message(event.key.partition, event) for event in events]
        for group in self._groups:
            for first in range(0, len(messages), _CHUNK):
                await self._redeliver(group, messages[first : first + _CHUNK])

    async def _redeliver(self, group: Group[Event], messages: Sequence[Message[Event]]) -> None:
        while True:
            try:
                return await self._broker.redeliver(group, messages)
            except ServiceUnavailable as error:
                self._logger.warning("events wait to be delivered again", reason=error.message)
            await asyncio.sleep(_RETRY_DELAY)

    def _take_slot(self) -> str:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return str(self._slots - 1)

    def _track(self, slot: str, events: Sequence[Event]) -> None:
        """Wait for every group to settle these events. Without events, the slot is free.

        An event that is also in the slot of a failed commit is needed only here.
        """
        names = [group.name for group in self._groups]
        if not events or not names:
            self._free.append(slot)
            return
        former = [event.operation_id for event in events if event.operation_id in self._slot_of]
        for operation_id in former:
            self._forget(operation_id)
        self._unsettled[slot] = {event.operation_id: set(names) for event in events}
        for event in events:
            self._slot_of[event.operation_id] = slot

    def _forget(self, operation_id: str) -> None:
        """Stop waiting for an event. A slot without any other event is free."""
        slot = self._slot_of.pop(operation_id)
        unsettled = self._unsettled[slot]
        del unsettled[operation_id]
        if not unsettled:
            del self._unsettled[slot]
            self._doubtful.pop(slot, None)
            self._free.append(slot)


def _made(event: Event, record: Record | None) -> bool:
    """Return whether an event's write is stored: the object remembers it or too many since."""
    if record is None or event.version is None or record.version < event.version:
        return False
    is_forgotten = record.version - event.version >= OPERATIONS_REMEMBERED
    return is_forgotten or is_remembered(record.memory, event.operation_id)


def _encode(events: Sequence[Event]) -> str:
    return msgspec.json.encode(events).decode()


_EMPTY: Final = _encode(())
