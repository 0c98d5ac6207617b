"""Reading objects: one, a page of them, or their number."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.applications.applications import Applications
from nexxus.domain.access import Action
from nexxus.domain.application import Application
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter, conjoin
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.errors import AccessDenied, InvalidParameters, ModelNotFound
from nexxus.interfaces.database import Database, Query
from nexxus.objects.queries import Paging, build_query, cursor_behind, describe, rows_of


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some of the objects that a query is about; `cursor` continues while more follow."""

    items: list[Document]
    cursor: str | None = None


class Reads:
    """Answers from the database, narrowed to what the caller may see."""

    def __init__(
        self, *, applications: Applications, database: Database, max_conditions: int, max_depth: int
    ) -> None:
        self._applications = applications
        self._database = database
        self._max_conditions = max_conditions
        self._max_depth = max_depth

    async def get(self, identity: Identity, model_name: str, object_id: str) -> Document:
        """One object; `ModelNotFound` when it is not stored, `AccessDenied` when the caller may
        not see it, the same whether or not it exists."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        permitted = require(application, identity, Action.GET, model)
        key = ObjectKey(application.id, model.name, object_id)
        (record,) = await self._database.load([key])
        found = record is not None and record.deleted_at is None
        if permitted != EVERYTHING and not (
            record is not None and found and compile_matcher(permitted)(record.document)
        ):
            raise denied(Action.GET, model)
        if record is None or not found:
            raise ModelNotFound(f"there is no {model.name} {object_id!r}")
        return record.document

    async def search(
        self,
        identity: Identity,
        model_name: str,
        *,
        id: str | None,
        user_id: str | None,
        filter: Any,
        paging: Paging,
        action: Action = Action.SEARCH,
    ) -> Page:
        """A page of the objects that match and that the caller may see."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        rows = self._rows(application, identity, action, model, id, user_id, filter)
        return await self.page(build_query(application, model, rows, paging))

    async def page(self, query: Query) -> Page:
        """A page of what `query` asks for, access control being the caller's business."""
        # One more than asked for tells whether a cursor makes sense.
        documents = await self._database.search(
            msgspec.structs.replace(query, limit=query.limit + 1)
        )
        if len(documents) <= query.limit:
            return Page(documents)
        items = documents[: query.limit]
        return Page(items, cursor_behind(items[-1], query))

    async def count(
        self, identity: Identity, model_name: str, *, user_id: str | None, filter: Any
    ) -> int:
        """How many objects match that the caller may see."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        rows = self._rows(application, identity, Action.COUNT, model, None, user_id, filter)
        return await self._database.count(application.id, model, rows)

    def _rows(
        self,
        application: Application,
        identity: Identity,
        action: Action,
        model: ModelType,
        id: str | None,
        user_id: str | None,
        filter: Any,
    ) -> Filter:
        permitted = require(application, identity, action, model)
        descriptor = describe(
            application,
            model,
            id=id,
            user_id=user_id,
            filter=filter,
            max_conditions=self._max_conditions,
            max_depth=self._max_depth,
        )
        return conjoin(rows_of(descriptor, model), permitted)


def stored_model(application: Application, name: str) -> ModelType:
    """The model, if its objects are stored; `InvalidParameters` for a transient one."""
    model = application.model(name)
    if model.transient:
        raise InvalidParameters(
            f"{name} is transient: its objects are pushed and never stored", {"field": "type"}
        )
    return model


def require(
    application: Application, identity: Identity, action: Action, model: ModelType
) -> Filter:
    """Return the rows that the caller may do this with; raises `AccessDenied` for none."""
    if identity.worker is not None:
        return EVERYTHING
    permitted = application.access.decide(identity.caller, action, model.name)
    if permitted == NOTHING:
        raise denied(action, model)
    return permitted


def denied(action: Action, model: ModelType) -> AccessDenied:
    """The one answer to whoever may not, whether or not the object exists."""
    return AccessDenied(f"you may not {action} this {model.name}")
