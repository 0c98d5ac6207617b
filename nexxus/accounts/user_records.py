"""User records: how users are stored, found and changed.

A user is a record of the reserved model ``user``. A user's name and subjects are claimed before
they are stored (see `nexxus.accounts.account_claims`), so each belongs to one user at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from nexxus.accounts.account_claims import AccountClaims, name_claim, subject_claim
from nexxus.accounts.usernames import normalise
from nexxus.applications.system import USER
from nexxus.domain.objects import Document, ObjectKey, new_id
from nexxus.errors import ServiceUnavailable, UserAlreadyExists
from nexxus.interfaces.auth_strategy import Subject
from nexxus.interfaces.database import Database, Mutation, Query, Record


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user.

    `password_hash` (argon2id) is None for a user without a password. `subjects` are those of
    providers, by issuer; `address` is the latest that one of them has proven.
    """

    id: str
    app_id: str
    username: str
    user_type: str
    auth_providers: list[str]
    details: dict[str, Any]
    created_at: int
    updated_at: int
    password_hash: str | None = None
    disabled: bool = False
    subjects: dict[str, str] = {}
    address: str | None = None

    def is_proven(self, address: str) -> bool:
        """Whether a provider has proven that the address is the user's."""
        return self.address == address

    def claims(self) -> dict[str, Any]:
        """Return what an access token says about the user."""
        return {
            "username": self.username,
            "userType": self.user_type,
            "authProviders": self.auth_providers,
            "details": self.details,
        }

    def public(self) -> dict[str, Any]:
        """Return the user as an administrator sees it."""
        return {
            "id": self.id,
            "appId": self.app_id,
            **self.claims(),
            "disabled": self.disabled,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }


class UserRecords:
    """Stores users in the database.

    A change that others get ahead of is tried `attempts` times. A name or a subject whose user was
    never stored is free again after `abandoned_after` seconds. `clock` returns UNIX seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        attempts: int = 10,
        abandoned_after: int = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._attempts = attempts
        self._clock = clock
        self._claims = AccountClaims(database, abandoned_after=abandoned_after, clock=clock)

    async def get(self, app_id: str, user_id: str) -> User | None:
        """Return the user of that id."""
        record = await self._load(_key(app_id, user_id))
        return None if record is None else _to_user(record.document)

    async def find(self, app_id: str, username: str) -> User | None:
        """Return the user of that name, however it is spelled (see `usernames.normalise`)."""
        return await self._holder(name_claim(app_id, username))

    async def find_subject(self, app_id: str, subject: Subject) -> User | None:
        """Return the user who belongs to a provider's subject."""
        user = await self._holder(subject_claim(app_id, subject))
        return user if user is not None and _has_subject(user, subject) else None

    async def list(self, app_id: str, *, limit: int, offset: int) -> list[User]:
        """Return users, the oldest first."""
        query = Query(app_id, USER, limit=limit, offset=offset)
        return [_to_user(document) for document in await self._database.search(query)]

    async def create(
        self,
        app_id: str,
        *,
        username: str,
        user_type: str,
        provider: str,
        details: dict[str, Any],
        password_hash: str | None = None,
        subject: Subject | None = None,
        address: str | None = None,
    ) -> User:
        """Store a new user; raise `UserAlreadyExists` if the name or the subject is taken."""
        now = int(self._clock())
        user = User(
            id=new_id(),
            app_id=app_id,
            username=username,
            user_type=user_type,
            auth_providers=[provider],
            details=details,
            created_at=now,
            updated_at=now,
            password_hash=password_hash,
            subjects={} if subject is None else {subject.issuer: subject.sub},
            address=address,
        )
        await self._claim_name(user)
        if subject is not None:
            try:
                await self.claim_subject(user, subject)
            except UserAlreadyExists:
                await self._claims.free(name_claim(app_id, username), user.id)
                raise
        key = _key(app_id, user.id)
        (stored,) = await self._database.commit(
            [Mutation(key, None, Record(_to_document(user, 1), 1))]
        )
        if not stored:
            raise _contended()
        return user

    async def change(self, user: User, change: Callable[[User], User]) -> User:
        """Apply `change` to the latest stored form, again if it was changed meanwhile.

        `change` may raise, and nothing is stored then. Returns `user` if it is no longer stored.
        """
        key = _key(user.app_id, user.id)
        for _ in range(self._attempts):
            record = await self._load(key)
            if record is None:
                return user
            changed = msgspec.structs.replace(
                change(_to_user(record.document)), updated_at=int(self._clock())
            )
            version = record.version + 1
            mutation = Mutation(key, record, Record(_to_document(changed, version), version))
            if (await self._database.commit([mutation]))[0]:
                return changed
        raise _contended()

    async def rename(self, user: User, username: str) -> User:
        """Give a user another name; raise `UserAlreadyExists` if it is taken."""
        if username == user.username:
            return user
        await self._claim_name(msgspec.structs.replace(user, username=username))
        renamed = await self.change(
            user, lambda latest: msgspec.structs.replace(latest, username=username)
        )
        if normalise(username) != normalise(user.username):
            await self._claims.free(name_claim(user.app_id, user.username), user.id)
        return renamed

    async def claim_subject(self, user: User, subject: Subject) -> None:
        """Reserve a subject for a user, who is then stored with it.

        Raises `UserAlreadyExists` if another user has it.
        """

        async def is_held(user_id: str) -> bool:
            holder = await self.get(user.app_id, user_id)
            return holder is not None and _has_subject(holder, subject)

        claim = subject_claim(user.app_id, subject)
        if not await self._claims.make(claim, user.id, is_held=is_held):
            raise UserAlreadyExists("another account belongs to this person; sign in again")

    async def delete(self, user: User) -> None:
        """Remove a user and free the name and the subjects, whatever changes the user meanwhile."""
        key = _key(user.app_id, user.id)
        for _ in range(self._attempts):
            record = await self._load(key)
            if record is None:
                await self._free(user)
                return
            identity = {"id": key.id, "type": key.type, "appId": key.app_id}
            gone = Record(identity, record.version + 1, deleted_at=int(self._clock()))
            if (await self._database.commit([Mutation(key, record, gone)]))[0]:
                await self._free(_to_user(record.document))
                return
        raise _contended()

    async def _free(self, user: User) -> None:
        for issuer, sub in user.subjects.items():
            await self._claims.free(subject_claim(user.app_id, Subject(issuer, sub)), user.id)
        await self._claims.free(name_claim(user.app_id, user.username), user.id)

    async def _claim_name(self, user: User) -> None:
        async def is_held(user_id: str) -> bool:
            holder = await self.get(user.app_id, user_id)
            return holder is not None and normalise(holder.username) == normalise(user.username)

        claim = name_claim(user.app_id, user.username)
        if not await self._claims.make(claim, user.id, is_held=is_held):
            raise UserAlreadyExists(f"the user name {user.username!r} is taken; choose another")

    async def _holder(self, claim: ObjectKey) -> User | None:
        user_id = await self._claims.holder(claim)
        return None if user_id is None else await self.get(claim.app_id, user_id)

    async def _load(self, key: ObjectKey) -> Record | None:
        (record,) = await self._database.load([key])
        return None if record is None or record.deleted_at is not None else record


def _has_subject(user: User, subject: Subject) -> bool:
    return user.subjects.get(subject.issuer) == subject.sub


def _contended() -> ServiceUnavailable:
    return ServiceUnavailable("the account is being changed elsewhere; try again")


def _key(app_id: str, user_id: str) -> ObjectKey:
    return ObjectKey(app_id, USER.name, user_id)


def _to_document(user: User, version: int) -> Document:
    document: Document = msgspec.to_builtins(user)
    return {**document, "type": USER.name, "version": version}


def _to_user(document: Document) -> User:
    return msgspec.convert(document, User)
