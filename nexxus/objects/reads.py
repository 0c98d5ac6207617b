"""Reading objects: one, a page of them, or their number."""

from __future__ import annotations

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
from nexxus.objects.queries import (
    FilterLimits,
    Paging,
    Selection,
    build_query,
    cursor_behind,
    describe,
    rows_of,
)


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of a query's objects. `cursor` continues the query; it is None on the last page."""

    items: list[Document]
    cursor: str | None = None


class Reads:
    """Reads from the database, limited to what the caller may see."""

    def __init__(
        self, *, applications: Applications, database: Database, filter_limits: FilterLimits
    ) -> None:
        self._applications = applications
        self._database = database
        self._filter_limits = filter_limits

    async def get(self, identity: Identity, model_name: str, object_id: str) -> Document:
        """Return one object.

        Raises `ModelNotFound` if it is not stored, and `AccessDenied` if the caller may not see
        it, whether or not it exists.
        """
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
        selection: Selection,
        paging: Paging,
        *,
        action: Action = Action.SEARCH,
    ) -> Page:
        """Return a page of the selected objects that the caller may see."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        rows = self._rows(application, identity, action, model, selection)
        return await self.page(build_query(application, model, rows, paging))

    async def page(self, query: Query) -> Page:
        """Return a page of what `query` asks for; access control is the caller's responsibility."""
        # One more than asked for shows whether there are more.
        documents = await self._database.search(
            msgspec.structs.replace(query, limit=query.limit + 1)
        )
        if len(documents) <= query.limit:
            return Page(documents)
        items = documents[: query.limit]
        return Page(items, cursor_behind(items[-1], query))

    async def count(self, identity: Identity, model_name: str, selection: Selection) -> int:
        """Return how many of the selected objects the caller may see."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        rows = self._rows(application, identity, Action.COUNT, model, selection)
        return await self._database.count(application.id, model, rows)

    def _rows(
        self,
        application: Application,
        identity: Identity,
        action: Action,
        model: ModelType,
        selection: Selection,
    ) -> Filter:
        permitted = require(application, identity, action, model)
        descriptor = describe(application, model, selection, self._filter_limits)
        return conjoin(rows_of(descriptor, model), permitted)


def stored_model(application: Application, name: str) -> ModelType:
    """Return the model; raises `InvalidParameters` if it is transient."""
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


def readable_rows(application: Application, identity: Identity, model: ModelType) -> Filter:
    """Return the rows that the caller may read by id; `NOTHING` for none."""
    if identity.worker is not None:
        return EVERYTHING
    return application.access.decide(identity.caller, Action.GET, model.name)


def denied(action: Action, model: ModelType) -> AccessDenied:
    """Return the error for a caller without permission, whether or not the object exists."""
    return AccessDenied(f"you may not {action} this {model.name}")
