"""Queries: parsing what a client asks for into database queries, and the cursors of pages."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from nexxus.domain.application import Application
from nexxus.domain.channels import Descriptor
from nexxus.domain.filter_parser import from_document, parse_filter
from nexxus.domain.filters import EVERYTHING, Compare, Filter, Op, conjoin, filter_id, to_document
from nexxus.domain.objects import Document, check_id
from nexxus.domain.schema import Kind, ModelType
from nexxus.errors import InvalidParameters
from nexxus.interfaces.database import Query, SortKey

DEFAULT_SORT = (SortKey("createdAt"), SortKey("id"))


class Paging(msgspec.Struct, frozen=True):
    """The page of a query that a client asks for, not yet checked."""

    limit: int | None = None
    offset: int | None = None
    sort: list[str] | None = None
    cursor: str | None = None


class Selection(msgspec.Struct, frozen=True):
    """The objects of a model that a client asks for, not yet checked; all of them by default."""

    id: str | None = None
    user_id: str | None = None
    filter: Any = None


class FilterLimits(msgspec.Struct, frozen=True):
    """The maximum number of conditions and of levels of a filter."""

    conditions: int
    depth: int


def describe(
    application: Application, model: ModelType, selection: Selection, limits: FilterLimits
) -> Descriptor:
    """Return what a client asks for, checked and normalised."""
    object_id, user_id = selection.id, selection.user_id
    if object_id is not None and user_id is not None:
        raise InvalidParameters("id and userId exclude each other", {"field": "userId"})
    if user_id is not None and application.auth is None:
        raise InvalidParameters(
            "userId: this application has no users", {"field": "userId", "rule": "auth"}
        )
    if object_id is not None:
        check_id(object_id)
    if user_id is not None:
        check_id(user_id, "userId")  # it is a part of the channel's id
    normalised: Filter = EVERYTHING
    if selection.filter is not None:
        normalised = parse_filter(
            selection.filter, model, max_conditions=limits.conditions, max_depth=limits.depth
        )
    return Descriptor(
        model=model.name,
        id=object_id,
        user_id=user_id,
        filter=None if normalised == EVERYTHING else to_document(normalised),
    )


def filter_of(descriptor: Descriptor, model: ModelType) -> Filter:
    """Return the client's own filter, without the descriptor's id and user."""
    return EVERYTHING if descriptor.filter is None else from_document(descriptor.filter, model)


def rows_of(descriptor: Descriptor, model: ModelType) -> Filter:
    """Return everything that a descriptor asks for as one filter."""
    parts = [filter_of(descriptor, model)]
    if descriptor.id is not None:
        parts.append(Compare("id", Op.EQ, descriptor.id))
    if descriptor.user_id is not None:
        parts.append(Compare("userId", Op.EQ, descriptor.user_id))
    return conjoin(*parts)


def build_query(application: Application, model: ModelType, rows: Filter, paging: Paging) -> Query:
    """Return the database's query for a page of `rows`.

    Raises `InvalidParameters` for an invalid limit, sort or cursor.
    """
    sort = _parse_sort(paging.sort, model)
    limit = application.default_limit if paging.limit is None else paging.limit
    if limit < 1:
        raise InvalidParameters("limit: expected at least 1", {"field": "limit"})
    offset = paging.offset or 0
    if not 0 <= offset <= 2**31:
        raise InvalidParameters("offset: expected 0 to 2^31", {"field": "offset"})
    query = Query(
        app_id=application.id,
        model=model,
        filter=rows,
        sort=sort,
        limit=min(limit, application.max_limit),
        offset=offset,
    )
    if paging.cursor is None:
        return query
    if paging.offset is not None:
        raise InvalidParameters("cursor: cannot be combined with an offset", {"field": "cursor"})
    return replace(query, after=_read_cursor(paging.cursor, query))


def cursor_behind(document: Document, query: Query) -> str:
    """Return the cursor that continues a query after an object."""
    packed = msgspec.json.encode([_fingerprint(query), query.place_of(document)])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _parse_sort(sort: list[str] | None, model: ModelType) -> tuple[SortKey, ...]:
    if sort is None:
        return DEFAULT_SORT
    keys: list[SortKey] = []
    for entry in sort:
        key = SortKey(entry.removeprefix("-"), entry.startswith("-"))
        field = model.filterable.get(key.path)
        if field is None or field.kind is Kind.ARRAY:
            raise InvalidParameters(
                f"sort: {key.path!r} is not a filterable field with an order", {"field": "sort"}
            )
        if any(key.path == other.path for other in keys):
            raise InvalidParameters(f"sort: {key.path!r} is given twice", {"field": "sort"})
        keys.append(key)
    paths = [key.path for key in keys]
    if "id" in paths:  # nothing is left to order behind it
        return tuple(keys[: paths.index("id") + 1])
    return (*keys, SortKey("id"))


def _read_cursor(cursor: str, query: Query) -> tuple[Any, ...]:
    bad = InvalidParameters(
        "cursor: invalid or of another query; start again without it", {"field": "cursor"}
    )
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        fingerprint, values = msgspec.json.decode(packed, type=tuple[str, tuple[Any, ...]])
    except (ValueError, msgspec.MsgspecError):
        raise bad from None
    if fingerprint != _fingerprint(query) or len(values) != len(query.sort):
        raise bad
    for key, value in zip(query.sort, values, strict=True):
        if not _fits(value, query.model.filterable[key.path].kind):
            raise bad
    return values


def _fits(value: Any, kind: Kind) -> bool:
    if value is None:
        return True
    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _fingerprint(query: Query) -> str:
    """Return what identifies a query. A cursor continues only the query that it was made for."""
    order = ",".join(f"{'-' if key.descending else ''}{key.path}" for key in query.sort)
    named = f"{query.app_id}|{query.model.name}|{filter_id(query.filter)}|{order}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
