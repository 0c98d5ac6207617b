"""Queues: what waits for each group, and which member has which key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nexxus.errors import ServiceUnavailable
from nexxus.toolkit.backlog import Backlog
from nexxus_file_queue.message_store import StoredMessage


class Entry:
    """A stored message in memory. `sequence` and `due` belong to the `Backlog`."""

    __slots__ = ("attempts", "body", "due", "key", "number", "sequence")

    def __init__(self, message: StoredMessage) -> None:
        self.number = message.number
        self.key = message.key
        self.body = message.body
        self.attempts = message.attempts
        self.sequence = 0
        self.due = 0.0


class Queue:
    """The unsettled messages of one group. A key is with one member at a time."""

    def __init__(self, group: str, topic: str) -> None:
        self.group = group
        self.topic = topic
        self.depth = 0
        self.is_closed = False
        self._backlog: Backlog[Entry] = Backlog(on_return=self._wake)
        self._members: dict[object, Callable[[], None]] = {}
        self._holders: dict[str, object] = {}
        self._held: Counter[str] = Counter()
        self._behind: dict[str, list[Entry]] = {}
        """Entries of keys that another member has, by key."""

    def join(self, member: object, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there may be something to take for this member."""
        self._members[member] = wake

    def leave(self, member: object) -> None:
        """Undo `join`."""
        self._members.pop(member, None)

    def check_room(self, count: int, limit: int) -> None:
        """Raise `ServiceUnavailable` unless there is room for that many more messages."""
        if self.depth + count > limit:
            raise ServiceUnavailable(f"the queue of {self.group} is full; try again later")

    def add(self, messages: Sequence[StoredMessage]) -> None:
        """Append stored messages, which were counted in `depth` before."""
        self._backlog.add([Entry(message) for message in messages])
        self._wake()

    def take(self, member: object, limit: int) -> list[Entry]:
        """Give a member up to `limit` entries, the oldest first."""
        taken: list[Entry] = []
        while len(taken) < limit and (entry := self._backlog.next()) is not None:
            if self._holders.setdefault(entry.key, member) is member:
                self._held[entry.key] += 1
                taken.append(entry)
            else:
                self._behind.setdefault(entry.key, []).append(entry)
        return taken

    def forget(self, entries: Sequence[Entry]) -> None:
        """Drop entries that were taken and settled."""
        self.depth -= len(entries)
        self._release(entries)

    def give_back(self, entries: Sequence[Entry], delay: float = 0.0) -> None:
        """Let taken entries be taken again after a delay, before the later ones of their keys."""
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        for entry in entries:
            entry.due = due
        self._backlog.park(entries)
        self._release(entries)

    def close(self) -> None:
        """Drop everything in memory; members are told with their next call."""
        self.is_closed = True
        self._backlog.clear()
        self._wake()

    def _release(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._held[entry.key] -= 1
            if not self._held[entry.key]:  # another member may have the key now
                del self._held[entry.key], self._holders[entry.key]
                self._backlog.give_back(self._behind.pop(entry.key, []))
        self._wake()

    def _wake(self) -> None:
        for wake in self._members.values():
            wake()


Queues = dict[str, Queue]
"""The queues by the names of their groups."""


def queues_of(groups: dict[str, str], messages: Sequence[StoredMessage]) -> Queues:
    """Return the queues of what a file contains: each group's topic, and all messages in order."""
    queues = {name: Queue(name, topic) for name, topic in groups.items()}
    waiting: dict[str, list[Any]] = {}
    for message in messages:
        waiting.setdefault(message.group, []).append(message)
    for name, found in waiting.items():
        queues[name].depth += len(found)
        queues[name].add(found)
    return queues
