"""Account claims: which user has a name, and which user belongs to a provider's subject.

A claim is a record whose id is a digest of what is claimed. It is stored before the user: the
database's compare-and-set lets one of two registrations win. A claim whose user was never stored
(a crash in between) may be taken over once it is `abandoned_after` seconds old.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable

from nexxus.accounts.usernames import normalise
from nexxus.applications.system import ACCOUNT_CLAIM
from nexxus.domain.objects import Document, ObjectKey
from nexxus.interfaces.auth_strategy import Subject
from nexxus.interfaces.database import Database, Mutation, Record


def name_claim(app_id: str, username: str) -> ObjectKey:
    """Return the claim on a user name: the same one for names that are compared as equal."""
    return _claim(app_id, "name", normalise(username))


def subject_claim(app_id: str, subject: Subject) -> ObjectKey:
    """Return the claim on a subject."""
    return _claim(app_id, "subject", f"{len(subject.issuer)}:{subject.issuer}{subject.sub}")


class AccountClaims:
    """Stores claims, each under the key that `name_claim` or `subject_claim` returns.

    `clock` returns UNIX seconds.
    """

    def __init__(
        self, database: Database, *, abandoned_after: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._abandoned_after = abandoned_after
        self._clock = clock

    async def holder(self, claim: ObjectKey) -> str | None:
        """Return the id of the user who has made the claim; the user may not be stored yet."""
        (record,) = await self._database.load([claim])
        if record is None or record.deleted_at is not None:
            return None
        holder: str = record.document["user"]
        return holder

    async def make(
        self, claim: ObjectKey, user_id: str, *, is_held: Callable[[str], Awaitable[bool]]
    ) -> bool:
        """Claim something for a user; return whether the user has it now.

        `is_held` says of another user who has claimed it whether that user is stored and has it.
        """
        now = int(self._clock())
        (former,) = await self._database.load([claim])
        if former is not None and former.deleted_at is None:
            holder = former.document["user"]
            if holder == user_id:
                return True  # the repetition of a change that failed half-way
            if former.document["createdAt"] > now - self._abandoned_after or await is_held(holder):
                return False
        version = 1 if former is None else former.version + 1
        document: Document = {
            "id": claim.id,
            "type": claim.type,
            "appId": claim.app_id,
            "createdAt": now,
            "updatedAt": now,
            "version": version,
            "user": user_id,
        }
        (won,) = await self._database.commit([Mutation(claim, former, Record(document, version))])
        return won

    async def free(self, claim: ObjectKey, user_id: str) -> None:
        """Release a user's claim. A claim that another user has taken over stays."""
        (record,) = await self._database.load([claim])
        if record is None or record.deleted_at is not None or record.document["user"] != user_id:
            return
        # A claim changes only when another user takes it over, and then it is not this one's.
        identity = {"id": claim.id, "type": claim.type, "appId": claim.app_id}
        gone = Record(identity, record.version + 1, deleted_at=int(self._clock()))
        await self._database.commit([Mutation(claim, record, gone)])


def _claim(app_id: str, kind: str, text: str) -> ObjectKey:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ObjectKey(app_id, ACCOUNT_CLAIM.name, f"{kind}-{digest}")
