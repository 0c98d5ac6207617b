"""A process of its own that consumes a group or reads a mailbox, and reports what it gets.

``python -m nexxus.testing.broker_kit.member``: the first line that it reads says how to open its
broker, each further one is a command; each line that it writes is a report. It ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias

import msgspec

from nexxus.domain.events import Event
from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Group, Mailbox, Received, Topic
from nexxus.testing.broker_kit.connecting import opened, unpack
from nexxus.testing.broker_kit.materials import Note, consume, facts

_AGAIN: Final = 0.1
_LONGEST_LINE: Final = 2**24


class Join(msgspec.Struct, frozen=True, tag=True):
    """Become a member of a group. What is taken is reported, and then settled or `holds`."""

    topic: str
    group: str
    holds: bool


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Settle the first `count` messages that were taken."""

    count: int


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Leave the group."""


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read a mailbox."""

    mailbox: str


class Did(msgspec.Struct, frozen=True, tag=True):
    """A command is performed; the first of them is that the broker is open."""


class Took(msgspec.Struct, frozen=True, tag=True):
    """These were taken, as (key, number), at that time of the machine's monotonic clock."""

    messages: list[tuple[str, int]]
    at: float


class Got(msgspec.Struct, frozen=True, tag=True):
    """These came out of the mailbox."""

    texts: list[str]


class Lost(msgspec.Struct, frozen=True, tag=True):
    """Messages of the mailbox were lost."""


Command: TypeAlias = Join | Settle | Leave | Read
Report: TypeAlias = Did | Took | Got | Lost


class Member:
    """Performs commands."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._consumer: Consumer[Event] | None = None
        self._taken: list[Received[Event]] = []
        self._task: asyncio.Task[None] | None = None

    async def perform(self, command: Command) -> None:
        """Do what was asked for, or begin with it."""
        match command:
            case Join(topic, name, holds):
                group: Group[Event] = Group(Topic(topic, Event, must_survive=False), name)
                self._consumer = await consume(self._broker, group)
                self._start(self._take(group, holds=holds))
            case Settle(count):
                assert self._consumer is not None, "joined"
                try:
                    await self._consumer.settle(self._taken[:count])
                except ServiceUnavailable:
                    return
            case Leave():
                assert self._consumer is not None, "joined"
                await self.stop()
                await self._consumer.close()
            case Read(name):
                mailbox: Mailbox[Note] = Mailbox(name, Note)
                receiver = await self._broker.receive(mailbox)
                self._start(self._read(mailbox, receiver))

    async def stop(self) -> None:
        """Take no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(_fail_loudly)

    async def _take(self, group: Group[Event], *, holds: bool) -> None:
        while True:
            assert self._consumer is not None, "joined"
            try:
                batch = await self._consumer.take(20)
                report(Took(facts(batch), time.monotonic()))
                if holds:
                    self._taken += batch
                else:
                    await self._consumer.settle(batch)
            except ServiceUnavailable:
                await self._consumer.close()
                self._consumer = await self._try_again(lambda: consume(self._broker, group))

    async def _read(self, mailbox: Mailbox[Note], receiver: Any) -> None:
        while True:
            try:
                report(Got([note.text for note in await receiver.take(20)]))
            except MessagesLost:
                report(Lost())
            except ServiceUnavailable:
                # Its mailbox has ended with it.
                await receiver.close()
                receiver = await self._try_again(lambda: self._broker.receive(mailbox))
                report(Lost())

    async def _try_again(self, begin: Any) -> Any:
        while True:
            await asyncio.sleep(_AGAIN)
            try:
                return await begin()
            except ServiceUnavailable:
                continue


def report(what: Report) -> None:
    """Write a line for the test."""
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _fail_loudly(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        task.get_loop().call_exception_handler({"message": "a member failed", "task": task})


async def main() -> None:
    """Perform commands until there are no more."""
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    broker = await opened(*unpack((await lines.readline()).decode()))
    member = Member(broker)
    report(Did())
    decode = msgspec.json.Decoder(Command).decode
    while line := await lines.readline():
        await member.perform(decode(line))
        report(Did())
    await member.stop()
    await broker.close()


if __name__ == "__main__":
    asyncio.run(main())
