"""User records: how users are stored, found and changed.

A user is a record of the reserved model ``user``; a second record, named by the digest of the
user name, is the claim on that name. The claim is stored first: the database's compare-and-set
lets one of two registrations win. A claim whose user was never stored (a crash in between) may
be taken over by the next who asks for the name, once it is `_ABANDONED_AFTER` seconds old.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import msgspec

from nexxus.applications.system import ACCOUNT_NAME, USER
from nexxus.domain.objects import Document, ObjectKey, new_id
from nexxus.errors import ServiceUnavailable, UserAlreadyExists
from nexxus.interfaces.database import Database, Mutation, Query, Record

_ATTEMPTS = 10
_ABANDONED_AFTER = 30


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user. `password_hash` (argon2id) is None for one who signs in elsewhere only."""

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

    def claims(self) -> dict[str, Any]:
        """What an access token says about the user."""
        return {
            "username": self.username,
            "userType": self.user_type,
            "authProviders": self.auth_providers,
            "details": self.details,
        }

    def public(self) -> dict[str, Any]:
        """The user as an administrator sees it."""
        return {
            "id": self.id,
            "appId": self.app_id,
            **self.claims(),
            "disabled": self.disabled,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }


class UserRecords:
    """Stores users in the database, one name each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, app_id: str, user_id: str) -> User | None:
        """The user of that id."""
        record = await self._load(_user_key(app_id, user_id))
        return None if record is None else _to_user(record.document)

    async def find(self, app_id: str, username: str) -> User | None:
        """The user of that name."""
        claim = await self._load(_name_key(app_id, username))
        return None if claim is None else await self.get(app_id, claim.document["user"])

    async def list(self, app_id: str, *, limit: int, offset: int) -> list[User]:
        """Users, oldest first."""
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
        password_hash: str | None,
    ) -> User:
        """Store a new user; `UserAlreadyExists` when the name is taken."""
        now = int(time.time())
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
        )
        await self._claim_name(user)
        (stored,) = await self._database.commit(
            [Mutation(_user_key(app_id, user.id), None, Record(_to_document(user, 1), 1))]
        )
        assert stored, "a new UUIDv7 names nothing that is stored"
        return user

    async def change(self, user: User, change: Callable[[User], User]) -> User:
        """Apply `change` to the latest stored form, again if it was changed meanwhile."""
        key = _user_key(user.app_id, user.id)
        for _ in range(_ATTEMPTS):
            record = await self._load(key)
            if record is None:
                return user
            changed = msgspec.structs.replace(
                change(_to_user(record.document)), updated_at=int(time.time())
            )
            version = record.version + 1
            mutation = Mutation(key, record, Record(_to_document(changed, version), version))
            if (await self._database.commit([mutation]))[0]:
                return changed
        raise _contended()

    async def rename(self, user: User, username: str) -> User:
        """Give a user another name; `UserAlreadyExists` when it is taken."""
        if username == user.username:
            return user
        await self._claim_name(msgspec.structs.replace(user, username=username))
        renamed = await self.change(
            user, lambda latest: msgspec.structs.replace(latest, username=username)
        )
        await self._free_name(user)
        return renamed

    async def delete(self, user: User) -> None:
        """Remove a user and set the name free, whatever changes the user meanwhile."""
        key = _user_key(user.app_id, user.id)
        for _ in range(_ATTEMPTS):
            record = await self._load(key)
            if record is None:
                await self._free_name(user)
                return
            if await self._delete(key, record):
                await self._free_name(_to_user(record.document))
                return
        raise _contended()

    async def _claim_name(self, user: User) -> None:
        key = _name_key(user.app_id, user.username)
        taken = UserAlreadyExists(f"the user name {user.username!r} is taken; choose another")
        now = int(time.time())
        (former,) = await self._database.load([key])
        if former is not None and former.deleted_at is None:
            if former.document["user"] == user.id:
                return  # This is the repetition of a rename that failed half-way.
            if former.document["createdAt"] > now - _ABANDONED_AFTER:
                raise taken
            holder = await self.get(user.app_id, former.document["user"])
            if holder is not None and holder.username == user.username:
                raise taken
        version = 1 if former is None else former.version + 1
        document = {
            "id": key.id,
            "type": ACCOUNT_NAME.name,
            "appId": user.app_id,
            "createdAt": now,
            "updatedAt": now,
            "version": version,
            "user": user.id,
        }
        (won,) = await self._database.commit([Mutation(key, former, Record(document, version))])
        if not won:
            raise taken

    async def _load(self, key: ObjectKey) -> Record | None:
        (record,) = await self._database.load([key])
        return None if record is None or record.deleted_at is not None else record

    async def _free_name(self, user: User) -> None:
        """Give up the claim on a user's name, unless it is somebody else's by now."""
        key = _name_key(user.app_id, user.username)
        record = await self._load(key)
        # A claim changes only when another user takes it over.
        if record is not None and record.document["user"] == user.id:
            await self._delete(key, record)

    async def _delete(self, key: ObjectKey, record: Record) -> bool:
        """Remove what is stored as `record`; whether it was still that."""
        identity = {"id": key.id, "type": key.type, "appId": key.app_id}
        gone = Record(identity, record.version + 1, deleted_at=int(time.time()))
        (won,) = await self._database.commit([Mutation(key, record, gone)])
        return won


def _contended() -> ServiceUnavailable:
    return ServiceUnavailable("the account is being changed elsewhere; try again")


def _user_key(app_id: str, user_id: str) -> ObjectKey:
    return ObjectKey(app_id, USER.name, user_id)


def _name_key(app_id: str, username: str) -> ObjectKey:
    digest = hashlib.sha256(username.encode()).hexdigest()
    return ObjectKey(app_id, ACCOUNT_NAME.name, digest)


def _to_document(user: User, version: int) -> Document:
    document: Document = msgspec.to_builtins(user)
    return {**document, "type": USER.name, "version": version}


def _to_user(document: Document) -> User:
    return msgspec.convert(document, User)
