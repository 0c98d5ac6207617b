"""The sender: takes the devices that are due, and pushes to those that are still away.

Each push service has lanes of its own. A device whose service has no lane free is put back for a
moment, so that a slow service does not hold up the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from nexxus.applications.applications import Applications
from nexxus.errors import ApplicationNotFound, ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.push_service import (
    Gone,
    Push,
    PushOutcome,
    PushService,
    Refused,
    Sent,
    TryLater,
)
from nexxus.interfaces.registry import LOOK_EVERY, Device, DuePush, PushAddress, Registry
from nexxus.objects.subscriptions import rerouted
from nexxus.observability.figures import counter
from nexxus.push.messages import build_message
from nexxus.toolkit.backoff import Backoff

LEASE: Final = 45.0
"""Seconds for which this node leases a device. Sending takes less."""

_SEND_WITHIN: Final = 30.0
_AT_ONCE: Final = 200
_LOOK_AGAIN: Final = 0.25
"""Seconds until the schedule is read again if nothing was due."""

_NO_LANE_DELAY: Final = 1.0
_SEND_AGAIN: Final = Backoff(first=5.0, longest=600.0)
_OPEN_AGAIN: Final = Backoff(first=0.2, longest=5.0)


class PushFigures(msgspec.Struct):
    """The figures of pushes."""

    sent: Annotated[int, counter("Pushes that a service has accepted.")] = 0
    retried: Annotated[int, counter("Pushes that a service did not accept yet.")] = 0
    refused: Annotated[int, counter("Pushes that a service will never accept.")] = 0
    gone: Annotated[int, counter("Devices that a service does not know any more.")] = 0


class _Ready(NamedTuple):
    """A push that is ready to be sent to a device."""

    due: DuePush
    address: PushAddress
    push: Push


class Sender:
    """Sends what is due. Times are in seconds.

    A device that has not connected for `retention` is not pushed to any more. A push that its
    service does not accept is tried for `expiry`. Each service sends `concurrency` batches at a
    time.
    """

    def __init__(
        self,
        services: Mapping[str, PushService],
        *,
        applications: Applications,
        registry: Registry,
        logger: Logger,
        retention: float,
        expiry: float,
        concurrency: int,
    ) -> None:
        self.figures = PushFigures()
        self._services = services
        self._applications = applications
        self._registry = registry
        self._logger = logger
        self._retention = retention
        self._expiry = expiry
        self._open_services: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._lanes = {name: asyncio.Semaphore(concurrency) for name in services}

    async def run(self) -> None:
        """Send until cancelled; what was begun is finished first.

        When cancelled again, it is cut off, and due again when its lease ends.
        """
        opening = [asyncio.create_task(self._open(name)) for name in self._services]
        try:
            while True:
                for task in opening:
                    if task.done():
                        task.result()
                try:
                    may_have_more = await self._send_due()
                except ServiceUnavailable as error:
                    self._logger.warning("pushes wait for the registry", reason=error.message)
                    may_have_more = False
                if not may_have_more:
                    await asyncio.sleep(_LOOK_AGAIN)
        finally:
            for task in opening:
                task.cancel()
            await asyncio.gather(*self._sending, *opening, return_exceptions=True)
            for name in self._open_services:
                await self._services[name].close()

    async def _open(self, name: str) -> None:
        """Open a service, and try again while it is away: its pushes wait."""
        failures = 0
        while True:
            try:
                await self._services[name].open()
            except ServiceUnavailable as error:
                self._logger.warning(
                    "a push service cannot begin yet", service=name, reason=error.message
                )
            else:
                self._open_services.add(name)
                return
            failures += 1
            await asyncio.sleep(_OPEN_AGAIN.delay(failures))

    async def _send_due(self) -> bool:
        """Begin to send what is due. Returns whether there may be more that can be sent now."""
        taken = await self._registry.pushes.take(_AT_ONCE, lease=LEASE)
        prepared = await asyncio.gather(*map(self._prepare, taken), return_exceptions=True)
        by_service: dict[str, list[_Ready]] = {}
        for due, ready in zip(taken, prepared, strict=True):
            if isinstance(ready, _Ready):
                by_service.setdefault(ready.address.service, []).append(ready)
            elif isinstance(ready, ServiceUnavailable):
                raise ready  # these are due again when their lease ends
            elif isinstance(ready, BaseException):
                self._logger.error("a push failed", device=due.device_id, error=ready)
        is_full = False
        for name, pushes in by_service.items():
            size = self._services[name].batch
            for start in range(0, len(pushes), size):
                batch = pushes[start : start + size]
                if name not in self._open_services or self._lanes[name].locked():
                    is_full = True
                    await self._put_back(batch)
                    continue
                await self._lanes[name].acquire()
                task = asyncio.create_task(self._send(name, batch), name=f"push {name}")
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        return len(taken) == _AT_ONCE and not is_full

    async def _prepare(self, due: DuePush) -> _Ready | None:
        """Return the push for a due device, or None if nothing is to be sent now."""
        pushes = self._registry.pushes
        device, presence, session = await asyncio.gather(
            self._registry.devices.get(due.app_id, due.device_id),
            self._registry.presence.get(due.app_id, due.device_id),
            self._registry.sessions.of_device(due.app_id, due.device_id),
        )
        if device is None or device.push is None:
            await pushes.done(due, again_in=None)
        elif presence is not None:  # what it was to learn it reads with its resync
            await pushes.done(due, again_in=LOOK_EVERY)
        elif session is None or session.is_ending:
            await self._end_subscriptions(due)
        elif self._is_lost(device):
            await self._end(due, device.push)
        elif device.push.service not in self._services:
            self._logger.warning("a push service is not installed", service=device.push.service)
            await pushes.done(due, again_in=LOOK_EVERY)
        else:
            return await self._build(due, device.push)
        return None

    async def _build(self, due: DuePush, address: PushAddress) -> _Ready | None:
        oldest = time.time() - self._expiry
        notices = [each for each in due.notices if each.at > oldest or not each.at]
        message = None
        if notices:
            message = build_message(notices, await self._routes_of(due.app_id, due.device_id))
        if message is None:
            await self._registry.pushes.done(due, again_in=LOOK_EVERY)
            return None
        return _Ready(due, address, Push(address.address, message, self._expiry))

    async def _routes_of(self, app_id: str, device_id: str) -> dict[str, str]:
        """Return the routing key of each channel, "" if it is not that of the present roles."""
        try:
            application = self._applications.get(app_id)
        except ApplicationNotFound:
            return {}
        return {
            each.channel_id: each.route.key if rerouted(each, application) == each else ""
            for each in await self._registry.subscriptions.of_device(app_id, device_id)
        }

    async def _send(self, name: str, batch: Sequence[_Ready]) -> None:
        """Send a batch in a lane of its service, which is free afterwards."""
        try:
            outcomes = await self._outcomes(name, [each.push for each in batch])
            for ready, outcome in zip(batch, outcomes, strict=True):
                await self._settle(ready, outcome)
        except ServiceUnavailable as error:
            # The rest is due again when its lease ends.
            self._logger.warning("the registry did not learn of pushes", reason=error.message)
        finally:
            self._lanes[name].release()

    async def _outcomes(self, name: str, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                outcomes = await self._services[name].send(pushes)
            if len(outcomes) == len(pushes):
                return outcomes
            reason = f"returned {len(outcomes)} outcomes for {len(pushes)} pushes"
        except TimeoutError:
            reason = f"did not answer within {_SEND_WITHIN:g} s"
        except Exception as error:  # a plugin may raise anything, and must not end the role
            reason = f"{type(error).__name__}: {error}"
        self._logger.warning("a push service failed", service=name, reason=reason)
        return [TryLater(reason)] * len(pushes)

    async def _settle(self, ready: _Ready, outcome: PushOutcome) -> None:
        match outcome:
            case Sent():
                self.figures.sent += 1
                await self._registry.pushes.done(ready.due, again_in=LOOK_EVERY)
            case TryLater():
                self.figures.retried += 1
                delay = outcome.delay
                if delay is None:
                    delay = _SEND_AGAIN.delay(ready.due.attempts + 1)
                await self._registry.pushes.retry(ready.due, delay)
            case Refused():
                self.figures.refused += 1
                self._logger.error(
                    "a push was refused",
                    service=ready.address.service,
                    application=ready.due.app_id,
                    reason=outcome.reason,
                )
                await self._registry.pushes.done(ready.due, again_in=LOOK_EVERY)
            case Gone():
                self.figures.gone += 1
                await self._end(ready.due, ready.address)

    async def _put_back(self, batch: Sequence[_Ready]) -> None:
        for ready in batch:
            await self._registry.pushes.retry(ready.due, _NO_LANE_DELAY, failed=False)

    async def _end_subscriptions(self, due: DuePush) -> None:
        """End the subscriptions of a device whose session has ended."""
        store = self._registry.subscriptions
        held = await store.of_device(due.app_id, due.device_id)
        await store.remove(due.app_id, due.device_id, [each.channel_id for each in held])
        await self._registry.pushes.done(due, again_in=None)

    async def _end(self, due: DuePush, address: PushAddress) -> None:
        """Make a device volatile that can no longer be reached, which ends its subscriptions."""
        device = await self._registry.devices.get(due.app_id, due.device_id)
        if device is not None and device.push == address:  # else it has got another one by now
            await self._registry.devices.put(msgspec.structs.replace(device, push=None))
            await self._registry.subscriptions.set_persistent(due.app_id, due.device_id, False)
        await self._registry.pushes.done(due, again_in=None)

    def _is_lost(self, device: Device) -> bool:
        return device.last_seen is not None and device.last_seen + self._retention < time.time()
