"""Expansion: from an event for away devices to a notice for each of them.

The devices of a route are listed by partition and page by page, so that memory does not grow with
the audience. Sending, which takes long, is done elsewhere: notices wait in the registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nexxus.applications.applications import Applications
from nexxus.cluster.away_events import PUSH, AwayEvent
from nexxus.cluster.consuming import Failure, consume
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.domain.application import Application
from nexxus.domain.push_rules import DEFAULT_QUIET
from nexxus.domain.pushes import PushNotice
from nexxus.errors import ApplicationNotFound, ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Received
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import PARTITIONS, Registry
from nexxus.push.notices import Objects, make_notice

_BATCH: Final = 32
_PAGE: Final = 1000
_AWAY_AGAIN_AFTER: Final = 1.0


class Expansion:
    """Consumes away events, as a member of the group `PUSH`."""

    def __init__(
        self,
        *,
        applications: Applications,
        broker: Broker,
        registry: Registry,
        database: Database,
        dead_letters: DeadLetters,
        logger: Logger,
    ) -> None:
        self._applications = applications
        self._broker = broker
        self._registry = registry
        self._database = database
        self._dead_letters = dead_letters
        self._logger = logger

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first."""
        await consume(
            self._broker,
            PUSH,
            self._process,
            batch=_BATCH,
            dead_letters=self._dead_letters,
            logger=self._logger,
        )

    async def _process(
        self, consumer: Consumer[AwayEvent], batch: Sequence[Received[AwayEvent]]
    ) -> Sequence[Failure[AwayEvent]]:
        try:
            for message in batch:
                await self._expand(message.payload)
        except ServiceUnavailable as error:
            # Events that were already expanded are expanded again; equal notices change nothing.
            self._logger.warning("events were not noted for away devices", reason=error.message)
            await consumer.retry(batch, _AWAY_AGAIN_AFTER, failed=False)
        else:
            await consumer.settle(batch)
        return ()

    async def _expand(self, event: AwayEvent) -> None:
        application = await self._find(event.delivery.app_id)
        if application is None:
            return
        rule = application.push.get(event.delivery.type)
        within = DEFAULT_QUIET if rule is None else rule.quiet
        objects = Objects(event, self._database, application)
        for key, verdict in event.delivery.verdicts.items():
            notice = await make_notice(rule, verdict, key, event, objects)
            if notice is None:
                continue
            if event.device_id:
                app_id = event.delivery.app_id
                await self._registry.pushes.add(app_id, [event.device_id], notice, within=within)
            else:
                await self._note(event, key, notice, within)

    async def _note(self, event: AwayEvent, key: str, notice: PushNotice, within: float) -> None:
        """Add a notice for every away device of a route."""
        await asyncio.gather(
            *(
                self._note_partition(event, key, notice, within, partition)
                for partition in range(PARTITIONS)
            )
        )

    async def _note_partition(
        self, event: AwayEvent, key: str, notice: PushNotice, within: float, partition: int
    ) -> None:
        app_id, model, after = event.delivery.app_id, event.delivery.type, ""
        while True:
            page = await self._registry.subscriptions.away(
                app_id, model, key, partition, after=after, limit=_PAGE
            )
            await self._registry.pushes.add(app_id, page, notice, within=within)
            if len(page) < _PAGE:
                return
            after = page[-1]

    async def _find(self, app_id: str) -> Application | None:
        try:
            return self._applications.get(app_id)
        except ApplicationNotFound:
            # An event may be faster than the news of its application.
            await self._applications.take_over(app_id)
        try:
            return self._applications.get(app_id)
        except ApplicationNotFound:
            return None
