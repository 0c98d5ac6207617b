"""Absences: the events of a persistent device until all nodes know that it is away.

A device is away as soon as the registry has learned that its connection is lost. From then on
transport managers have its events pushed. What they had sent to this node before that is in the
node's mailbox, and nobody pushes it. So the node sends itself a message, too: when that arrives,
everything before it has arrived as well, and what has come since the connection was lost is passed
on. A transport manager that sent an event after that sees the new routes when it compares them,
and has the event pushed (`nexxus.transport_manager`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import msgspec

from nexxus.cluster.away_events import AwayEvent, publish_away
from nexxus.cluster.messages import DeviceWentAway
from nexxus.domain.pushes import RESYNC
from nexxus.errors import ServiceUnavailable
from nexxus.gateway.devices.notices import Notices
from nexxus.gateway.devices.replay import missed_by
from nexxus.gateway.devices.resident import NOT_LIVE, Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import RESYNC_WITHIN, Presence, Registry
from nexxus.toolkit.tasks import Tasks

_AGAIN_AFTER: Final = 1.0
"""Seconds until a call that the registry or the broker did not accept is repeated."""


class Absences:
    """Reports lost connections, and passes on the events that their devices have missed."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        broker: Broker,
        registry: Registry,
        notices: Notices,
        residents: Residents,
        tasks: Tasks,
        logger: Logger,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._registry = registry
        self._notices = notices
        self._residents = residents
        self._tasks = tasks
        self._logger = logger
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Stop repeating calls: the node leaves, and its presences end with it."""
        self._stopping.set()

    async def report_lost(
        self, device: Resident, presence: Presence, *, has_ended: bool = False
    ) -> None:
        """Report to the registry that a connection is lost, now or when the registry is back.

        A device whose session `has_ended` with it is not pushed to.
        """
        away = None
        if device.is_persistent and not has_ended:
            away = DeviceWentAway(device.app_id, device.device_id, device.left_at)
        try:
            await self._report(presence, away)
        except ServiceUnavailable as error:
            self._logger.warning(
                "a lost connection was not reported to the registry", reason=error.message
            )
            self._tasks.start(self._report_later(presence, away))

    def pass_on(self, away: DeviceWentAway) -> None:
        """Have the events pushed that have arrived for a device since its connection was lost."""
        self._tasks.start(self._pass_on_at_last(away))

    async def _report(self, presence: Presence, away: DeviceWentAway | None) -> None:
        await self._registry.presence.disconnect(presence)
        if away is not None:
            self._notices.send(presence, away)

    async def _report_later(self, presence: Presence, away: DeviceWentAway | None) -> None:
        while not await self._is_stopping():
            with suppress(ServiceUnavailable):
                await self._report(presence, away)
                return

    async def _pass_on_at_last(self, away: DeviceWentAway) -> None:
        while True:
            try:
                return await self._pass_on(away)
            except ServiceUnavailable as error:
                self._logger.warning("missed events wait to be pushed", reason=error.message)
            if await self._is_stopping():
                return None

    async def _pass_on(self, away: DeviceWentAway) -> None:
        async with self._residents.hold(away.app_id, away.device_id) as device:
            if device.connection is not None:
                return  # It has reconnected, and gets the missed events there.
            missed = None
            if not device.is_vacant and away.after != NOT_LIVE:
                missed = missed_by(device, self._residents.log, away.after, self._settings)
        if missed is None:
            name = (away.app_id, [away.device_id])
            await self._registry.pushes.add(*name, RESYNC, within=RESYNC_WITHIN)
            return
        events = [
            AwayEvent(
                msgspec.structs.replace(delivery, object=None, patches=[]),
                after=delivery.object,
                device_id=away.device_id,
            )
            for _, delivery in missed
        ]
        if events:
            await publish_away(self._broker, events)

    async def _is_stopping(self) -> bool:
        """Wait a moment. Returns whether the node stops."""
        try:
            async with asyncio.timeout(_AGAIN_AFTER):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True
