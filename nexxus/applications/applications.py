"""Applications: the tenants that this node knows, and their administration."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import msgspec

from nexxus.applications.change_listeners import ChangeListeners, Listener
from nexxus.applications.schema_changes import check_stored_objects
from nexxus.applications.system import ACCOUNT_CLAIM, APPLICATION, SYSTEM, USER
from nexxus.cluster.messages import ApplicationChanged, node_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.application import Application, merge_application, parse_application
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.domain.strategy_settings import read_entry
from nexxus.errors import (
    ApplicationAlreadyExists,
    ApplicationNotFound,
    InvalidParameters,
    ServiceUnavailable,
    StartupError,
    VersionConflict,
)
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey
from nexxus.interfaces.registry import Node, Registry
from nexxus.toolkit.paging import pages

__all__ = ["Applications", "Listener"]

_PAGE = 500
_LATEST = 20
"""How many of the latest changes are read in one query."""


class Applications:
    """The directory of applications, which is kept in memory and updated when one changes.

    `strategies` has, by name, the type of each installed sign-in strategy's settings.

    A stored application without its document is being removed: no node serves it, but some of its
    data may still be stored. When the data is gone, the application becomes a tombstone.
    """

    def __init__(
        self,
        *,
        database: Database,
        peers: Peers,
        registry: Registry,
        strategies: Mapping[str, type[msgspec.Struct]],
    ) -> None:
        self._strategies = strategies
        self._database = database
        self._peers = peers
        self._registry = registry
        self._known: dict[str, Application] = {}
        self._versions: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._listeners = ChangeListeners(self._known.get)

    def on_change(self, listener: Listener) -> None:
        """Await `listener` after each change that this node learns of."""
        self._listeners.add(listener)

    async def finish_changes(self) -> None:
        """Wait until a listener could not finish, and continue it; raises its error.

        To be called in a loop.
        """
        await self._listeners.finish()

    def get(self, app_id: str) -> Application:
        """Return the application. Raises `ApplicationNotFound`."""
        found = self._known.get(app_id)
        if found is None:
            raise ApplicationNotFound(
                f"there is no application {app_id!r}; create it with 'nexxus app create'"
            )
        return found

    def all(self) -> Iterable[Application]:
        """Every application, in no particular order."""
        return tuple(self._known.values())

    async def load(self) -> None:
        """Read every application from the database; call once before serving.

        Applications that an earlier process left half prepared are prepared again. Raises
        `StartupError` for an application that cannot be read or prepared.
        """
        await self._database.prepare(SYSTEM, [APPLICATION])
        try:
            await self.refresh()
            for application in self.all():
                await self._prepare(application)
        except InvalidParameters as error:
            raise StartupError(error.message) from error

    async def refresh(self) -> None:
        """Load everything that other nodes have changed, by reading every application.

        Raises `InvalidParameters` for those that cannot be read, after loading all others.
        """
        unreadable: list[InvalidParameters] = []
        async with self._lock:
            stored: dict[str, Document] = {}
            by_id = Query(SYSTEM, APPLICATION, sort=(SortKey("id"),), limit=_PAGE)
            async for page in pages(self._database, by_id):
                stored.update({document["id"]: document for document in page})
            for app_id in self._known.keys() - stored.keys():
                await self._forget(app_id)
            await self._take_over_documents(stored.values(), unreadable)
        if unreadable:
            raise unreadable[0]

    async def look_for_changes(self) -> None:
        """Load what other nodes have recently created or changed; cheap if nothing was.

        This does not see a finished delete, or a change by a node whose clock is far behind;
        `take_over` and `refresh` do. Raises the same errors as `refresh`.
        """
        unreadable: list[InvalidParameters] = []
        async with self._lock:
            latest = (SortKey("updatedAt", descending=True), SortKey("id"))
            by_age = Query(SYSTEM, APPLICATION, sort=latest, limit=_LATEST)
            async for page in pages(self._database, by_age):
                if not await self._take_over_documents(page, unreadable):
                    break
        if unreadable:
            raise unreadable[0]

    async def take_over(self, app_id: str) -> None:
        """Load one application as another node has stored it; cheap if nothing changed."""
        async with self._lock:
            record = await self._load(app_id)
            if record is None or record.deleted_at is not None:
                await self._forget(app_id)
            else:
                await self._take_over_document(record.document)

    def version(self, app_id: str) -> int:
        """Return the application's version, which grows with each change; 0 if there is none."""
        return self._versions.get(app_id, 0)

    async def catch_up(self, app_id: str, version: int) -> None:
        """Load the application, unless it is known here in that version or a later one.

        For messages that may arrive before the news of their application, such as an operation.
        """
        if self.version(app_id) < version:
            await self.take_over(app_id)

    async def create(self, document: Any) -> Application:
        """Check, prepare and store a new application. Raises `ApplicationAlreadyExists`."""
        application = parse_application(document)
        self._check_strategies(application)
        async with self._lock:
            record = await self._load(application.id)
            if _is_there(record):
                raise ApplicationAlreadyExists(
                    f"the application {application.id!r} exists; change it with PUT"
                )
            if _is_being_removed(record):
                await self._drop(application.id)
            await self._prepare(application)
            await self._store(application, record)
        await self._tell_other_nodes(application.id)
        return application

    async def replace(self, app_id: str, changes: Any) -> Application:
        """Replace the top-level keys that `changes` gives.

        Raises `InvalidParameters` with an example when a stored object would become invalid.
        """
        if not isinstance(changes, dict):
            raise InvalidParameters("expected an object with the keys to replace")
        self.get(app_id)
        async with self._lock:
            record = await self._load(app_id)
            if not _is_there(record):
                raise ApplicationNotFound(f"there is no application {app_id!r}")
            former = parse_application(record.document["document"])
            application = parse_application(merge_application(former.document, changes))
            self._check_strategies(application)
            await check_stored_objects(self._database, former, application)
            # Until the new one is stored, the former one is in force, here and after a crash.
            await self._prepare(application, beside=former)
            await self._store(application, record)
            with contextlib.suppress(ServiceUnavailable):  # having prepared too much is harmless
                await self._prepare(application)
        await self._tell_other_nodes(app_id)
        return application

    async def declare(self, document: dict[str, Any]) -> None:
        """Put an application of the configuration in force, if it is not.

        The application is created, or its given top-level keys are replaced. Several nodes may
        declare it at the same time. Raises the errors of `create` and `replace`, except those that
        come from another node's being faster.
        """
        given = msgspec.json.decode(msgspec.json.encode(document))  # as it would be stored
        while True:
            await self.take_over(given["id"])
            known = self._known.get(given["id"])
            try:
                if known is None:
                    await self.create(given)
                elif merge_application(known.document, given) != known.document:
                    await self.replace(known.id, given)
            except (ApplicationAlreadyExists, ApplicationNotFound, VersionConflict):
                continue
            return

    async def delete(self, app_id: str) -> None:
        """Remove the application and everything that belongs to it.

        If it fails midway, no node serves the application any more, and it must be called again.
        """
        async with self._lock:
            record = await self._load(app_id)
            if record is None or record.deleted_at is not None:
                raise ApplicationNotFound(f"there is no application {app_id!r}")
            if _is_there(record):
                version = record.version + 1
                document = {**_identity(app_id), "updatedAt": int(time.time()), "version": version}
                await self._commit(Mutation(_key(app_id), record, Record(document, version)))
            await self._forget(app_id)
        await self._tell_other_nodes(app_id)
        async with self._lock:
            await self._finish_removal(app_id)

    async def _finish_removal(self, app_id: str) -> None:
        record = await self._load(app_id)
        if not _is_being_removed(record):
            return  # Somebody else has finished it, or begun anew.
        await self._drop(app_id)
        gone = Record(_identity(app_id), record.version + 1, deleted_at=int(time.time()))
        await self._database.commit([Mutation(_key(app_id), record, gone)])

    async def _drop(self, app_id: str) -> None:
        await self._database.drop(app_id)
        await self._registry.drop(app_id)

    def _check_strategies(self, application: Application) -> None:
        """Raise `InvalidParameters` for a strategy that is not installed or is set wrongly."""
        entries = {} if application.auth is None else application.auth.strategies
        for name, entry in entries.items():
            read_entry(name, entry, self._strategies)

    async def _prepare(self, application: Application, beside: Application | None = None) -> None:
        """Prepare the database for the application's models, and for those that it replaces."""
        former = {} if beside is None else beside.models
        stored = [
            _with_paths_of(former[name], model) if name in former else model
            for name, model in application.models.items()
            if not model.transient
        ]
        await self._database.prepare(application.id, [*stored, USER, ACCOUNT_CLAIM])

    async def _load(self, app_id: str) -> Record | None:
        return (await self._database.load([_key(app_id)]))[0]

    async def _store(self, application: Application, former: Record | None) -> None:
        now = int(time.time())
        version = 1 if former is None else former.version + 1
        document = {
            **_identity(application.id),
            "createdAt": now if former is None else former.document.get("createdAt", now),
            "updatedAt": now,
            "version": version,
            "document": application.document,
        }
        await self._commit(Mutation(_key(application.id), former, Record(document, version)))
        await self._put_in_force(application, version)

    async def _commit(self, mutation: Mutation) -> None:
        (won,) = await self._database.commit([mutation])
        if not won:
            raise VersionConflict(
                f"the application {mutation.key.id!r} was changed elsewhere just now; try again"
            )

    async def _put_in_force(self, application: Application, version: int) -> None:
        former = self._known.get(application.id)
        self._known[application.id] = application
        self._versions[application.id] = version
        await self._listeners.tell(application.id, former)

    async def _forget(self, app_id: str) -> bool:
        """Put an application out of force. Returns whether it was in force."""
        former = self._known.pop(app_id, None)
        self._versions.pop(app_id, None)
        if former is None:
            return False
        await self._listeners.tell(app_id, former)
        return True

    async def _take_over_documents(
        self, documents: Iterable[Document], unreadable: list[InvalidParameters]
    ) -> bool:
        """Put stored applications in force. Returns whether any changed. Adds to `unreadable`."""
        is_new = False
        for document in documents:
            try:
                is_new |= await self._take_over_document(document)
            except InvalidParameters as error:
                unreadable.append(error)
        return is_new

    async def _take_over_document(self, document: Document) -> bool:
        """Put a stored application in force. Returns whether it changed."""
        app_id, version = document["id"], document["version"]
        if "document" not in document:
            return await self._forget(app_id)
        if self._versions.get(app_id) == version:
            return False
        try:
            application = parse_application(document["document"])
        except InvalidParameters as error:
            raise InvalidParameters(
                f"the stored application {app_id!r} cannot be read; perhaps a newer release has "
                f"written it: {error.message}",
                error.details,
            ) from error
        await self._put_in_force(application, version)
        return True

    async def _tell_other_nodes(self, app_id: str) -> None:
        """Return when the change is in force on all nodes that answer. A node that does not is
        about to stop, or will find the change itself (`nexxus.cluster.membership`)."""
        with contextlib.suppress(ServiceUnavailable):
            nodes = await self._registry.nodes.alive()
            await asyncio.gather(*(self._tell(node, app_id) for node in nodes))

    async def _tell(self, node: Node, app_id: str) -> None:
        if node.id == self._peers.here:
            return
        with contextlib.suppress(ServiceUnavailable):
            await self._peers.ask(node_mailbox(node.id), ApplicationChanged(app_id))


def _key(app_id: str) -> ObjectKey:
    return ObjectKey(SYSTEM, APPLICATION.name, app_id)


def _identity(app_id: str) -> Document:
    return {"id": app_id, "type": APPLICATION.name, "appId": SYSTEM}


def _is_there(record: Record | None) -> TypeGuard[Record]:
    return record is not None and record.deleted_at is None and "document" in record.document


def _is_being_removed(record: Record | None) -> TypeGuard[Record]:
    return record is not None and record.deleted_at is None and "document" not in record.document


def _with_paths_of(former: ModelType, model: ModelType) -> ModelType:
    """Return the model with the filterable paths of its former schema as well."""
    return msgspec.structs.replace(model, filterable={**former.filterable, **model.filterable})
