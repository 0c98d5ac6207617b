"""Members in two processes: what becomes of messages when one comes, goes, dies or stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from typing import ClassVar

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.testing.broker_kit.connecting import BrokerOptions, OpenBroker
from nexxus.testing.broker_kit.materials import (
    Note,
    consume,
    event,
    facts,
    new_group,
    new_mailbox,
    take,
)
from nexxus.testing.broker_kit.members import MemberProcess, Publisher, Stage, until_confirmed

KEYS = [f"key-{number}" for number in range(16)]
HELD = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)]
QUEUE_LIMIT = 10
MAILBOX_LIFE = 1.0


def split(messages: list[tuple[str, int]]) -> dict[str, list[int]]:
    """Return the numbers by key, repetitions left out."""
    numbers: dict[str, list[int]] = {}
    for key, number in dict.fromkeys(messages):
        numbers.setdefault(key, []).append(number)
    return numbers


class ProcessesConformance:
    """What a durable broker promises to several processes.

    `patience` is how many seconds anything may take: a group that shares its messages anew, a
    member that is noticed to be dead, a connection that is made again.
    """

    patience: ClassVar[float] = 60.0

    has_full_queues: ClassVar[bool] = True
    """Whether `BrokerOptions.queue_limit` means something. Without it, `publish` never refuses a
    message because a group is far behind; say in your documentation what happens then."""

    async def cut_connections(self) -> None:
        """Break every connection that the tests have to the server, as a bad network would."""
        raise NotImplementedError("a broker that has connections: override `cut_connections`")

    @pytest.fixture
    async def stage(self, open_broker: OpenBroker) -> AsyncIterator[Stage]:
        stage = Stage(open_broker, self.patience)
        yield stage
        await stage.close()

    # Members that come and go

    async def test_members_in_two_processes_share_a_group_until_one_of_them_leaves(
        self, stage: Stage
    ) -> None:
        group = await stage.declared()
        publisher = await stage.publishing(group, KEYS)
        here = await stage.join_here(group)
        await stage.until_seen(3, KEYS)

        other = await stage.start()
        await other.join(group)
        before = len(here.taken)
        await stage.until(lambda: len(other.taken) > len(KEYS) and len(here.taken) > before)

        await other.leave()
        await stage.until_seen(publisher.confirmed + 3, KEYS)
        await all_seen(stage, publisher)

    async def test_what_a_killed_process_held_goes_to_another_in_order(self, stage: Stage) -> None:
        group = await stage.declared()
        broker = await stage.open()
        await broker.publish(group.topic, [event(*each) for each in HELD])
        killed = await stage.start()
        await killed.join(group, holds=True)
        await stage.until(lambda: len(killed.taken) == len(HELD))
        await broker.publish(group.topic, [event("a", 4), event("b", 3)])

        killed.kill()
        here = await stage.join_here(group)

        await stage.until(lambda: {("a", 4), ("b", 3)} <= set(here.taken))
        assert split(here.taken) == {"a": [1, 2, 3, 4], "b": [1, 2, 3]}

    # A member that stalls

    async def test_what_a_stalled_process_settles_late_has_no_effect(self, stage: Stage) -> None:
        group = await stage.declared()
        broker = await stage.open()
        await broker.publish(group.topic, [event(*each) for each in HELD])
        stalled = await stage.start()
        await stalled.join(group, holds=True)
        await stage.until(lambda: len(stalled.taken) == len(HELD))

        stalled.stall()
        here = await stage.join_here(group, holds=True)
        await stage.until(lambda: set(here.taken) == set(HELD))
        stalled.wake()
        await stalled.settle(len(HELD))
        await here.leave()
        await stalled.leave()

        third = await stage.join_here(group)
        await stage.until(lambda: set(third.taken) == set(HELD))
        assert split(third.taken) == split(HELD)

    async def test_a_process_that_wakes_up_goes_on_and_nothing_is_lost_or_overtakes(
        self, stage: Stage
    ) -> None:
        publisher, other = await shared(stage)

        other.stall()
        await stage.until_seen(publisher.confirmed + 3, KEYS)
        other.wake()
        before = len(other.taken)
        await stage.until(lambda: len(other.taken) > before + len(KEYS))

        await all_seen(stage, publisher)

    # A server that is away for a moment

    async def test_nothing_is_lost_or_overtakes_when_connections_are_lost(
        self, stage: Stage
    ) -> None:
        publisher, _ = await shared(stage)
        for _ in range(3):
            await self.cut_connections()
            await stage.until_seen(publisher.confirmed + 3, KEYS)

        await all_seen(stage, publisher)

    async def test_a_mailbox_outlives_a_lost_connection(self, stage: Stage) -> None:
        broker, reader, mailbox = await stage.open(), await stage.start(), new_mailbox()
        await reader.read(mailbox)
        for number in range(1, 7):
            if number % 2 == 0:
                await self.cut_connections()
            note = Note(str(number))
            await until_confirmed(partial(broker.send, mailbox, [note]))
        await stage.until(lambda: "6" in reader.texts)
        assert list(dict.fromkeys(reader.texts)) == ["1", "2", "3", "4", "5", "6"]
        assert reader.losses == []

    # Limits

    async def test_a_full_queue_refuses_and_accepts_again_when_there_is_room(
        self, stage: Stage
    ) -> None:
        if not self.has_full_queues:
            pytest.skip("the broker does not bound its queues")
        broker = await stage.open(BrokerOptions(queue_limit=QUEUE_LIMIT))
        group = new_group()
        await broker.declare(group)
        accepted = 0
        with pytest.raises(ServiceUnavailable):  # noqa: PT012
            while accepted < 100 * QUEUE_LIMIT:
                await broker.publish(group.topic, [event("a", accepted + 1)])
                accepted += 1
        assert accepted >= QUEUE_LIMIT

        consumer = await consume(broker, group)
        taken = facts(await take(consumer, accepted))
        last = event("a", accepted + 2)
        async with asyncio.timeout(self.patience):
            await until_confirmed(partial(broker.publish, group.topic, [last]))
            while taken[-1] != ("a", accepted + 2):
                taken += facts(await take(consumer, 1))
        # The one that was refused may have been accepted all the same.
        [numbers] = split(taken).values()
        assert [each for each in numbers if each != accepted + 1] == [
            *range(1, accepted + 1),
            accepted + 2,
        ]

    async def test_an_expired_mailbox_reports_once_that_messages_were_lost(
        self, stage: Stage
    ) -> None:
        options = BrokerOptions(mailbox_life=MAILBOX_LIFE)
        broker, reader = await stage.open(options), await stage.start(options)
        mailbox, sent, pause = new_mailbox(), 0, 2 * MAILBOX_LIFE

        async def send_until_read(count: int) -> None:
            """Send until that many more have come: to a mailbox that expired they do not."""
            nonlocal sent
            wanted = len(reader.texts) + count
            async with asyncio.timeout(self.patience):
                while len(reader.texts) < wanted:
                    sent += 1
                    note = Note(str(sent))
                    await until_confirmed(partial(broker.send, mailbox, [note]))
                    await asyncio.sleep(0.05)

        await reader.read(mailbox)
        await send_until_read(3)
        while not reader.losses:
            assert pause < self.patience, "the mailbox of a process that is stalled never expires"
            reader.stall()
            await asyncio.sleep(pause)
            reader.wake()
            await send_until_read(3)
            pause *= 2
        await send_until_read(3)

        numbers = [int(text) for text in dict.fromkeys(reader.texts)]
        assert len(reader.losses) == 1
        [lost_after] = reader.losses
        assert numbers == sorted(numbers), "what comes after the loss is newer than what is missing"
        gaps = [one for one, other in pairwise(numbers) if other != one + 1]
        assert gaps in ([], [int(reader.texts[lost_after - 1])])


async def shared(stage: Stage) -> tuple[Publisher, MemberProcess]:
    """A group to which all is published, of a member here and one in another process."""
    group = await stage.declared()
    publisher = await stage.publishing(group, KEYS)
    here, other = await stage.join_here(group), await stage.start()
    await other.join(group)
    await stage.until(lambda: bool(here.taken) and bool(other.taken))
    return publisher, other


async def all_seen(stage: Stage, publisher: Publisher) -> None:
    """Expect that everything was taken, in its order."""
    expected = await publisher.stop()
    await stage.until_seen(publisher.confirmed, KEYS)
    assert stage.sightings.by_key() == expected
