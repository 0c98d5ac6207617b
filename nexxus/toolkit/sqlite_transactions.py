"""Transactions of a SQLite file: many jobs in one, each of which may fail alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from nexxus.toolkit.sqlite_file import as_unavailable, is_storage_failure

T = TypeVar("T")
Item = TypeVar("Item")

Handler: TypeAlias = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[T]]
"""Handles some items; returns one result per item, in their order."""


class Job:
    """An item, what handles it, and the caller's future."""

    __slots__ = ("future", "handler", "item")

    def __init__(self, item: Any, handler: Handler[Any, Any], future: asyncio.Future[Any]) -> None:
        self.item = item
        self.handler = handler
        self.future = future


class FailedJob:
    """The outcome of a job that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def alone(connection: sqlite3.Connection, jobs: Sequence[Callable[..., Any]]) -> list[Any]:
    """Handle items that are functions of the connection, and have nothing in common."""
    return [job(connection) for job in jobs]


def transact(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Any]:
    """Execute jobs in one transaction; return the outcome of each, a `FailedJob` where it raised.

    Jobs in a row with the same handler are handed to it in one call. If that raises, each of them
    is tried alone. When the storage fails, nothing is done, and that is the outcome of all.
    """
    return _transact(connection, _groups(jobs))


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: list[list[Job]] = []
    for handler, some in itertools.groupby(jobs, key=lambda job: job.handler):
        if handler is alone:
            groups.extend([job] for job in some)
        else:
            groups.append(list(some))
    return groups


def _transact(connection: sqlite3.Connection, groups: Sequence[Sequence[Job]]) -> list[Any]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(groups) == 1:  # nobody else's work needs a savepoint: two steps less
            outcomes = _run(connection, groups[0])
        else:
            outcomes = [outcome for group in groups for outcome in _try(connection, group)]
        connection.execute("COMMIT")
    except Exception as error:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        jobs = [job for group in groups for job in group]
        if len(groups) == 1 and len(jobs) > 1 and not is_storage_failure(error):
            return _transact(connection, [[job] for job in jobs])
        return [FailedJob(as_unavailable(error)) for _ in jobs]
    return outcomes


def _try(connection: sqlite3.Connection, group: Sequence[Job]) -> list[Any]:
    """Execute a group, undoing it alone where it fails. A failure of the storage is raised."""
    connection.execute("SAVEPOINT job")
    try:
        outcomes = _run(connection, group)
        connection.execute("RELEASE job")
    except Exception as error:
        # Some failures make SQLite itself give up the whole transaction.
        if is_storage_failure(error) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        if len(group) == 1:
            return [FailedJob(error)]
        return [outcome for job in group for outcome in _try(connection, [job])]
    return outcomes


def _run(connection: sqlite3.Connection, group: Sequence[Job]) -> list[Any]:
    outcomes = list(group[0].handler(connection, [job.item for job in group]))
    if len(outcomes) != len(group):
        raise TypeError(
            f"{group[0].handler!r} returned {len(outcomes)} results for {len(group)} items; "
            "it must return one result per item"
        )
    return outcomes
