"""Members of a group in several processes, and what they see of its messages."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Group, Mailbox, Received
from nexxus.testing.broker_kit import member
from nexxus.testing.broker_kit.connecting import BrokerOptions, OpenBroker, opened, pack
from nexxus.testing.broker_kit.materials import Note, consume, declared, event, facts

_LOOK_AGAIN: Final = 0.02
_LONGEST_LINE: Final = 2**24
_ENDING: Final = 20.0

_decode = msgspec.json.Decoder(member.Report).decode


class Sightings:
    """Which messages were taken by anybody, and when first."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], float] = {}

    def add(self, messages: list[tuple[str, int]], at: float) -> None:
        """Note that these were taken, one after the other, at that time."""
        for message in messages:
            self._first[message] = min(at, self._first.get(message, at))

    def __contains__(self, message: tuple[str, int]) -> bool:
        return message in self._first

    def by_key(self) -> dict[str, list[int]]:
        """Return the numbers of each key in the order in which they were taken first."""
        found: dict[str, list[int]] = defaultdict(list)
        # Those of one batch are in the order in which they were added.
        for key, number in sorted(self._first, key=self._first.__getitem__):
            found[key].append(number)
        return dict(found)


class MemberHere:
    """A member in the process of the tests. It settles what it takes, or `holds` it."""

    def __init__(self, consumer: Consumer[Event], sightings: Sightings, *, holds: bool) -> None:
        self.taken: list[tuple[str, int]] = []
        self._consumer = consumer
        self._sightings = sightings
        self._holds = holds
        self._task = asyncio.create_task(self._take())

    async def leave(self) -> None:
        """Leave the group; what it holds goes to others."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.close()

    async def _take(self) -> None:
        while True:
            batch = await self._consumer.take(20)
            self._note(batch)
            if not self._holds:
                await self._consumer.settle(batch)

    def _note(self, batch: list[Received[Event]]) -> None:
        self._sightings.add(facts(batch), time.monotonic())
        self.taken += facts(batch)


class MemberProcess:
    """A member in a process of its own, with a broker of its own; see `member`."""

    def __init__(self, process: asyncio.subprocess.Process, sightings: Sightings) -> None:
        self.taken: list[tuple[str, int]] = []
        self.texts: list[str] = []
        self.losses: list[int] = []
        """How many texts had come before each loss of messages."""
        self._process = process
        self._sightings = sightings
        self._done: asyncio.Queue[bool] = asyncio.Queue()
        self._reports = asyncio.create_task(self._read_reports())

    @classmethod
    async def start(
        cls, open_broker: OpenBroker, options: BrokerOptions, sightings: Sightings
    ) -> MemberProcess:
        """Start a process and open its broker."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            member.__name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            limit=_LONGEST_LINE,
        )
        started = cls(process, sightings)
        started._write(pack(open_broker, options).encode())
        await started._is_done()
        return started

    async def join(self, group: Group[Event], *, holds: bool = False) -> None:
        """Become a member of a group, which settles what it takes, or holds it."""
        await self._ask(member.Join(group.topic.name, group.name, holds))

    async def settle(self, count: int) -> None:
        """Settle the first messages that it took."""
        await self._ask(member.Settle(count))

    async def leave(self) -> None:
        """Leave the group."""
        await self._ask(member.Leave())

    async def read(self, mailbox: Mailbox[Note]) -> None:
        """Make a mailbox and read it."""
        await self._ask(member.Read(mailbox.name))

    def kill(self) -> None:
        """End the process without a word."""
        self._process.send_signal(signal.SIGKILL)

    def stall(self) -> None:
        """Stop the process where it is."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process go on."""
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """End the process, whatever state it is in."""
        with suppress(ProcessLookupError):
            self.wake()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_ENDING):
                await self._process.wait()
        except TimeoutError:
            self.kill()
        await self._reports

    async def _ask(self, command: member.Command) -> None:
        self._write(msgspec.json.encode(command))
        await self._is_done()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def _is_done(self) -> None:
        assert await self._done.get(), "the process of a member has ended; its errors are above"

    async def _read_reports(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            match _decode(line):
                case member.Did():
                    self._done.put_nowait(True)
                case member.Took(messages, at):
                    self._sightings.add(messages, at)
                    self.taken += messages
                case member.Got(texts):
                    self.texts += texts
                case member.Lost():
                    self.losses.append(len(self.texts))
        self._done.put_nowait(False)


class Publisher:
    """Publishes the numbers 1, 2, 3… of every key, each until it is confirmed."""

    def __init__(self, broker: Broker, group: Group[Event], keys: list[str]) -> None:
        self.confirmed = 0
        self._broker = broker
        self._group = group
        self._keys = keys
        self._is_stopping = False
        self._task = asyncio.create_task(self._publish())

    async def stop(self) -> dict[str, list[int]]:
        """Return what must be seen by the members together, in its order."""
        self._is_stopping = True
        await self._task
        return {key: list(range(1, self.confirmed + 1)) for key in self._keys}

    def cancel(self) -> None:
        """End it, at the end of a test that failed."""
        self._task.cancel()

    async def _publish(self) -> None:
        while not self._is_stopping:
            messages = [event(key, self.confirmed + 1) for key in self._keys]
            await until_confirmed(partial(self._broker.publish, self._group.topic, messages))
            self.confirmed += 1
            await asyncio.sleep(_LOOK_AGAIN)


async def until_confirmed(publish: Callable[[], Awaitable[None]]) -> None:
    """Publish again until that is confirmed."""
    while True:
        try:
            return await publish()
        except ServiceUnavailable:
            await asyncio.sleep(_LOOK_AGAIN)


class Stage:
    """What a test with several processes needs; all of it is ended by `close`."""

    def __init__(self, open_broker: OpenBroker, patience: float) -> None:
        self.sightings = Sightings()
        self._open_broker = open_broker
        self._patience = patience
        self._brokers: list[Broker] = []
        self._members: list[MemberHere] = []
        self._processes: list[MemberProcess] = []
        self._publishers: list[Publisher] = []

    async def open(self, options: BrokerOptions = BrokerOptions()) -> Broker:  # noqa: B008
        """Open one more broker in this process."""
        broker = await opened(self._open_broker, options)
        self._brokers.append(broker)
        return broker

    async def declared(self) -> Group[Event]:
        """Declare a new group."""
        return await declared(await self.open())

    async def join_here(self, group: Group[Event], *, holds: bool = False) -> MemberHere:
        """Have one more member in this process, with a broker of its own."""
        consumer = await consume(await self.open(), group)
        joined = MemberHere(consumer, self.sightings, holds=holds)
        self._members.append(joined)
        return joined

    async def start(
        self,
        options: BrokerOptions = BrokerOptions(),  # noqa: B008
    ) -> MemberProcess:
        """Have one more process, with a broker of its own."""
        process = await MemberProcess.start(self._open_broker, options, self.sightings)
        self._processes.append(process)
        return process

    async def publishing(self, group: Group[Event], keys: list[str]) -> Publisher:
        """Begin to publish, and go on."""
        publisher = Publisher(await self.open(), group, keys)
        self._publishers.append(publisher)
        return publisher

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, as long as the author's patience."""
        async with asyncio.timeout(self._patience):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_LOOK_AGAIN)

    async def until_seen(self, number: int, keys: list[str]) -> None:
        """Wait until the message of that number of every key was taken by some member."""
        await self.until(lambda: all((key, number) in self.sightings for key in keys))

    async def close(self) -> None:
        """End everything that was begun."""
        for publisher in self._publishers:
            publisher.cancel()
        for joined in self._members:
            await joined.leave()
        for process in self._processes:
            await process.end()
        for broker in self._brokers:
            await broker.close()
