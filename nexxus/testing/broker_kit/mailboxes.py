"""Mailboxes, which are there as long as their node is."""

from __future__ import annotations

import asyncio

from nexxus.interfaces.broker import Broker, Receiver
from nexxus.testing.broker_kit.materials import A_MOMENT, PATIENCE, Note, new_mailbox


async def read(receiver: Receiver[Note], wanted: int) -> list[str]:
    """Take until `wanted` notes have come; return their texts."""
    texts: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(texts) < wanted:
            texts += [note.text for note in await receiver.take(wanted - len(texts))]
    return texts


class MailboxesConformance:
    """Mailboxes."""

    async def test_a_mailbox_holds_what_is_sent_in_order(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        receiver = await broker.receive(mailbox)
        await broker.send(mailbox, [Note("1"), Note("2")])
        await broker.send(mailbox, [Note("3")])
        assert await read(receiver, 3) == ["1", "2", "3"]

    async def test_what_is_sent_concurrently_keeps_its_order(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        receiver = await broker.receive(mailbox)
        await asyncio.gather(*(broker.send(mailbox, [Note(str(n))]) for n in range(50)))
        assert await read(receiver, 50) == [str(n) for n in range(50)]

    async def test_messages_to_a_mailbox_that_does_not_exist_vanish(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        await broker.send(mailbox, [Note("lost")])
        receiver = await broker.receive(mailbox)
        await broker.send(mailbox, [Note("found")])
        assert await read(receiver, 1) == ["found"]

    async def test_sending_to_a_node_that_has_gone_is_no_error(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        receiver = await broker.receive(mailbox)
        await receiver.close()
        await receiver.close()
        await broker.send(mailbox, [Note("lost")])

    async def test_cancelling_a_take_loses_nothing(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        receiver = await broker.receive(mailbox)
        texts: list[str] = []
        for number in range(30):
            task = asyncio.create_task(receiver.take(5))
            if number % 2:
                await asyncio.sleep(0)
            await broker.send(mailbox, [Note(str(number))])
            task.cancel()
            [result] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, list):
                texts += [note.text for note in result]
        texts += await read(receiver, 30 - len(texts))
        assert texts == [str(number) for number in range(30)]

    async def test_a_reader_waits_for_what_is_sent(self, broker: Broker) -> None:
        mailbox = new_mailbox()
        receiver = await broker.receive(mailbox)
        waiting = asyncio.create_task(read(receiver, 1))
        assert not (await asyncio.wait((waiting,), timeout=A_MOMENT))[0]
        await broker.send(mailbox, [Note("late")])
        assert await waiting == ["late"]
