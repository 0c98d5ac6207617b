"""Dead letters: messages that could not be processed, stored in the database for an operator.

They are not stored in the broker, because a broker that is a log cannot list or delete single
messages. See docs/decisions/dead-letters-in-the-database.md.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Final

import msgspec

from nexxus.cluster.own_records import OwnRecords
from nexxus.domain.filters import EVERYTHING, Filter, equals_one_of
from nexxus.domain.objects import Document
from nexxus.domain.schema import Field, Kind, build_model
from nexxus.errors import InvalidParameters
from nexxus.interfaces.broker import Broker, Group, Message, Received, Undecodable
from nexxus.interfaces.database import Database
from nexxus.observability.figures import gauge

_REASON_CHARACTERS: Final = 1000

DEAD_LETTER: Final = build_model(
    "dead-letter",
    {
        "queue": Field(Kind.STRING, required=True, filterable=True),
        "buriedAt": Field(Kind.FLOAT, required=True, filterable=True),
    },
)
"""Besides: ``key``, ``body`` (base64), ``attempts``, ``reason``.

The id is a digest of the message: to bury it twice, after a failure in between, changes nothing.
"""


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """A message that was set aside.

    `queue` is the name of the `Group` that could not process it. `payload` is JSON values, or text
    where the message is no JSON. `attempts` is how often its processing was begun; `buried_at` is
    in UNIX seconds.
    """

    id: str
    queue: str
    key: str
    payload: Any
    attempts: int
    reason: str
    buried_at: float


class DeadLetterFigures(msgspec.Struct):
    """How many dead letters there are."""

    dead_letters: Annotated[
        dict[str, int],
        gauge("Messages that were set aside and are neither replayed nor discarded.", "group"),
    ]


class DeadLetters:
    """Stores dead letters and delivers them again.

    `groups` are the groups to which a letter can be replayed.
    """

    def __init__(self, database: Database, broker: Broker, groups: Iterable[Group[Any]]) -> None:
        self._records = OwnRecords(database, DEAD_LETTER)
        self._broker = broker
        self._groups = {group.name: group for group in groups}
        self._replayed: set[str] = set()
        """Letters that were delivered again, and are kept until they are settled."""

    async def open(self) -> None:
        """Prepare the database."""
        await self._records.open()

    async def bury(
        self, group: Group[Any], message: Received[Any], reason: str, *, attempts: int
    ) -> None:
        """Store a message that cannot be processed. Raises `ServiceUnavailable`."""
        body = msgspec.json.encode(message.payload)
        await self._store(group, message.key, body, attempts, reason)

    async def bury_undecodable(self, group: Group[Any], undecodable: Undecodable) -> None:
        """Store a message that cannot be decoded. Raises `ServiceUnavailable`."""
        reason = f"cannot be decoded: {undecodable.reason}"
        attempts = undecodable.attempts + 1
        await self._store(group, undecodable.key, undecodable.body, attempts, reason)

    async def get(self, id: str) -> DeadLetter | None:
        """Return one dead letter."""
        document = await self._records.get(id)
        return None if document is None or id in self._replayed else _to_letter(document)

    async def list(self, *, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """Return the oldest dead letters, of the group of that name or of all."""
        wanted = EVERYTHING if queue is None else _of(queue)
        letters: list[DeadLetter] = []
        async for document in self._records.find(wanted, order="buriedAt"):
            if document["id"] not in self._replayed:
                letters.append(_to_letter(document))
            if len(letters) == limit:
                break
        return letters

    async def figures(self) -> DeadLetterFigures:
        """Return how many there are of each group that can be replayed to."""
        counts = {name: await self._records.count(_of(name)) for name in self._groups}
        return DeadLetterFigures(counts)

    async def replay(self, ids: Collection[str]) -> int:
        """Deliver dead letters to their groups again, in order, after the messages that wait there.

        They are then no longer dead letters. If the broker is not durable, a crash before they are
        settled makes them dead letters again. Returns how many there were. Unknown ids are ignored,
        so that this may be called again; a letter may be delivered twice. Raises
        `InvalidParameters` for a letter whose group is not configured or that cannot be decoded,
        after replaying those before it.
        """
        count = 0
        for document in sorted(await self._records.find_all(ids), key=_place):
            group = self._group_of(document)
            message = _to_message(document, group)
            if self._broker.is_durable:
                await self._broker.redeliver(group, [message])
                count += await self._records.delete(document["id"])
            elif document["id"] not in self._replayed:
                await self._redeliver_and_keep(document["id"], group, message)
                count += 1
        return count

    async def settled(self, group: Group[Any], messages: Iterable[Received[Any]]) -> None:
        """Delete replayed letters that are settled now.

        Raises `ServiceUnavailable`; the letter is then a normal dead letter and may be replayed.
        """
        if not self._replayed:
            return
        for message in messages:
            letter = _id(group, message.key, msgspec.json.encode(message.payload))
            if letter in self._replayed:
                self._replayed.discard(letter)
                await self._records.delete(letter)

    async def discard(self, ids: Collection[str]) -> int:
        """Delete dead letters; return how many there were."""
        return sum([await self._records.delete(each) for each in ids])

    async def _redeliver_and_keep(self, id: str, group: Group[Any], message: Message[Any]) -> None:
        self._replayed.add(id)
        try:
            await self._broker.redeliver(group, [message])
        except BaseException:
            self._replayed.discard(id)
            raise

    async def _store(
        self, group: Group[Any], key: str, body: bytes, attempts: int, reason: str
    ) -> None:
        letter = _id(group, key, body)
        await self._records.put(
            letter,
            {
                "queue": group.name,
                "key": key,
                "body": base64.b64encode(body).decode(),
                "attempts": attempts,
                "reason": reason[:_REASON_CHARACTERS],
                "buriedAt": time.time(),
            },
        )
        self._replayed.discard(letter)

    def _group_of(self, document: Document) -> Group[Any]:
        group = self._groups.get(document["queue"])
        if group is None:
            raise InvalidParameters(
                f"{document['id']} was for {document['queue']}, which is not configured here; add "
                "the worker to server.workers, or discard the letter"
            )
        return group


def _of(group: str) -> Filter:
    return equals_one_of("queue", [group])


def _id(group: Group[Any], key: str, body: bytes) -> str:
    """Return a letter's id, a digest of the message."""
    return hashlib.sha256(b"\0".join((group.name.encode(), key.encode(), body))).hexdigest()[:32]


def _place(document: Document) -> tuple[float, str]:
    """Return where a letter comes among the others."""
    return (document["buriedAt"], document["id"])


def _to_letter(document: Document) -> DeadLetter:
    body = base64.b64decode(document["body"])
    try:
        payload: Any = msgspec.json.decode(body)
    except ValueError:
        payload = body.decode(errors="replace")
    return DeadLetter(
        id=document["id"],
        queue=document["queue"],
        key=document["key"],
        payload=payload,
        attempts=document["attempts"],
        reason=document["reason"],
        buried_at=document["buriedAt"],
    )


def _to_message(document: Document, group: Group[Any]) -> Message[Any]:
    body = base64.b64decode(document["body"])
    try:
        payload = msgspec.json.decode(body, type=group.topic.payload)
    except ValueError as error:
        raise InvalidParameters(
            f"{document['id']} cannot be decoded, so it cannot be replayed: {error}; discard it"
        ) from error
    return Message(document["key"], payload)
