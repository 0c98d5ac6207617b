"""The messages in the file: a row for each message that a group has yet to settle."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from nexxus.toolkit.sqlite_engine import SqliteEngine

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS groups (name TEXT PRIMARY KEY, topic TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS messages (
        number INTEGER PRIMARY KEY,
        group_name TEXT NOT NULL,
        key TEXT NOT NULL,
        body BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    )""",
)


class NewMessage(NamedTuple):
    """A message to be stored for a group."""

    group: str
    key: str
    body: bytes


class StoredMessage(NamedTuple):
    """A message as it is stored. Numbers grow in the order in which messages came."""

    number: int
    group: str
    key: str
    body: bytes
    attempts: int


class MessageStore:
    """Keeps groups and their messages. Methods raise `ServiceUnavailable` if the file fails."""

    def __init__(self, path: Path) -> None:
        self._engine = SqliteEngine(path, readers=1, schema=_SCHEMA)
        self._next = 1

    async def open(self) -> tuple[dict[str, str], list[StoredMessage]]:
        """Open the file; return each group's topic, and all messages in order.

        Raises `StartupError` if another process has opened it.
        """

        def read(connection: sqlite3.Connection) -> tuple[dict[str, str], list[StoredMessage]]:
            groups = dict(connection.execute("SELECT name, topic FROM groups"))
            columns = "number, group_name, key, body, attempts"
            rows = connection.execute(f"SELECT {columns} FROM messages ORDER BY number")
            return groups, [StoredMessage(*row) for row in rows]

        await self._engine.open()
        groups, messages = await self._engine.read(read)
        self._next = messages[-1].number + 1 if messages else 1
        return groups, messages

    async def close(self) -> None:
        """Finish the calls under way and close the file."""
        await self._engine.close()

    def check_open(self) -> None:
        """Raise `ServiceUnavailable` unless the file is open."""
        self._engine.check_open()

    async def add_group(self, name: str, topic: str) -> None:
        """Store a group, whether or not it is stored already."""
        statement = "INSERT OR IGNORE INTO groups VALUES (?, ?)"
        await self._engine.write(lambda connection: connection.execute(statement, (name, topic)))

    async def remove_group(self, name: str) -> None:
        """Remove a group with its messages."""

        def remove(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM messages WHERE group_name = ?", (name,))
            connection.execute("DELETE FROM groups WHERE name = ?", (name,))

        await self._engine.write(remove)

    async def add(self, messages: Sequence[NewMessage]) -> list[StoredMessage]:
        """Store messages; they are durable on return."""
        first = self._next
        self._next += len(messages)
        stored = [StoredMessage(first + n, *each, 0) for n, each in enumerate(messages)]

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", stored)

        await self._engine.write(add)
        return stored

    async def remove(self, numbers: Sequence[int]) -> None:
        """Remove messages."""
        await self._for_each("DELETE FROM messages WHERE number = ?", numbers)

    async def count_attempt(self, numbers: Sequence[int]) -> None:
        """Add one to the attempts of messages."""
        statement = "UPDATE messages SET attempts = attempts + 1 WHERE number = ?"
        await self._for_each(statement, numbers)

    async def _for_each(self, statement: str, numbers: Sequence[int]) -> None:
        rows = [(number,) for number in numbers]
        await self._engine.write(lambda connection: connection.executemany(statement, rows))
