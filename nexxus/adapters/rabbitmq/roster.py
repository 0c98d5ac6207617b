"""Who else is a member of a group: consumers greet each other through RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel as HighChannel
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from nexxus.adapters.rabbitmq.link import AWAY
from nexxus.adapters.rabbitmq.topology import Topology
from nexxus.domain.objects import new_id
from nexxus.errors import NotStarted
from nexxus.interfaces.logger import Logger

GREET_EVERY: Final = 1.0
GONE_AFTER: Final = 4.0
"""Seconds of silence after which a consumer counts as gone."""

_LEAVING: Final = 2.0
_HELLO: Final = "hello"
_BYE: Final = "bye"


class Roster:
    """The live members of one group, this one among them.

    What it says may be wrong for some seconds: it decides who should have which partition, and
    RabbitMQ's single active consumer sees to it that no two have one.
    """

    def __init__(
        self,
        topology: Topology,
        group: str,
        member: str,
        on_change: Callable[[], None],
        logger: Logger,
    ) -> None:
        self._exchange = topology.roster_exchange
        self._group = group
        self._logger = logger
        self._member = member
        self._on_change = on_change
        self._heard: dict[str, float] = {}
        self._high: HighChannel | None = None
        self._channel: AbstractChannel | None = None
        self._stranger = asyncio.Event()

    @property
    def members(self) -> list[str]:
        """The ids of the live consumers; never empty."""
        return [self._member, *self._heard]

    async def join(self, connection: AbstractConnection) -> None:
        """Listen, and greet the others."""
        self._heard.clear()
        channel = self._high = connection.channel(publisher_confirms=False)
        await channel.initialize()
        exchange = await channel.declare_exchange(self._exchange, ExchangeType.DIRECT, durable=True)
        # A new name each time: RabbitMQ may still keep the former one for a lost connection.
        own = await channel.declare_queue(
            f"{self._exchange}.{new_id()}", exclusive=True, auto_delete=True
        )
        await own.bind(exchange, routing_key=self._group)
        underlay = self._channel = await channel.get_underlay_channel()
        await underlay.basic_consume(own.name, self._hear, no_ack=True)
        await self._say(_HELLO)

    async def run(self) -> None:
        """Go on greeting, and forget who no longer does; never returns."""
        while True:
            try:
                async with asyncio.timeout(GREET_EVERY):
                    await self._stranger.wait()
            except TimeoutError:
                self._forget_the_silent()
            self._stranger.clear()
            await self._say(_HELLO)

    async def leave(self) -> None:
        """Say goodbye, so that the others need not wait for our silence, and listen no more."""
        with suppress(*AWAY):
            async with asyncio.timeout(_LEAVING):
                if self._channel is not None and not self._channel.is_closed:
                    await self._say(_BYE)
                if self._high is not None:
                    await self._high.close()

    async def _say(self, what: str) -> None:
        if self._channel is None:
            raise NotStarted("join the roster first")
        await self._channel.basic_publish(
            self._member.encode(),
            exchange=self._exchange,
            routing_key=self._group,
            properties=Basic.Properties(message_type=what),
        )

    async def _hear(self, message: DeliveredMessage) -> None:
        member = message.body.decode(errors="replace")
        if member == self._member:
            return
        if message.header.properties.message_type == _BYE:
            if self._heard.pop(member, None) is not None:
                self._on_change()
            return
        is_new = member not in self._heard
        self._heard[member] = asyncio.get_running_loop().time()
        if is_new:
            self._logger.debug("another consumer", group=self._group, member=member)
            self._stranger.set()
            self._on_change()

    def _forget_the_silent(self) -> None:
        oldest = asyncio.get_running_loop().time() - GONE_AFTER
        silent = [member for member, heard in self._heard.items() if heard < oldest]
        for member in silent:
            del self._heard[member]
        if silent:
            self._logger.info("consumers are gone", group=self._group, members=silent)
            self._on_change()
