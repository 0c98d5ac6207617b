"""Narrowing: live subscriptions follow their application's roles.

When a role changes, a subscription may show other objects. Its channel keeps its id but gets
another route, in these steps:

1. The device follows both routes, so that it misses no event whichever route a transport manager
   still knows. Events that only the former route matches are denied to it. This happens
   immediately, before the registry is called. 2. The objects that are no longer permitted are taken
   away one by one (``denied``), and the device leaves the former route. 3. The device reads the
   channel again, for objects that it may see only now and for events that were under way: an event
   that was matched before the change may arrive after the device has left its route. Its object was
   stored before the channel is read.

A subscription ends if its model can no longer be subscribed to, if the roles permit nothing of it,
or if its filter no longer fits the schema. The device is notified (``unsubscribed``).

Every step can be repeated after a failure, and a subscription itself records how far it has come.
Only what a channel has shown under several rules is remembered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from nexxus.domain.application import Application
from nexxus.domain.channels import Route, Subscription
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filter_parser import from_document
from nexxus.domain.filters import (
    EVERYTHING,
    NOTHING,
    Filter,
    conjoin,
    disjoin,
    negate,
    to_document,
)
from nexxus.domain.objects import Document
from nexxus.domain.schema import ModelType
from nexxus.errors import (
    AccessDenied,
    DeviceNotConnected,
    InvalidParameters,
    ModelNotFound,
    ServiceUnavailable,
    WireError,
)
from nexxus.interfaces.database import Database, Query, SortKey
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.objects.queries import rows_of
from nexxus.objects.subscriptions import permitted_rows, rerouted
from nexxus.toolkit.paging import pages

_PAGE: Final = 500

_AT_ONCE: Final = 32
"""Devices that are narrowed concurrently, to limit the load on the registry and the database."""


class ServedDevice(Protocol):
    """A device that this node serves, connected or silent."""

    @property
    def device_id(self) -> str:
        """The device's id."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Its subscriptions as this node serves them."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection of this node holds it."""


class NarrowingHost(Protocol):
    """The methods of this node's gateway that narrowing needs."""

    async def adopt(self, app_id: str, device_id: str) -> None:
        """Serve the device's subscriptions as the registry has them, from now on.

        Raises `DeviceNotConnected` if the device has no connection here.
        """

    def devices(self, app_id: str) -> Sequence[ServedDevice]:
        """Return the application's devices that this node serves, including silent ones."""

    def withhold(self, subscription: Subscription) -> None:
        """Serve a subscription by its new route now, and deny events that only the former
        matches."""

    async def serve(self, subscription: Subscription) -> None:
        """Serve a changed subscription, if it has not ended and its device is on this node."""

    def end_sessions(self, app_id: str) -> None:
        """Close every connection of an application whose session has ended."""

    def send_denied(
        self, app_id: str, device_id: str, channel_id: str, objects: list[dict[str, Any]]
    ) -> None:
        """Notify the device that it may no longer see these, except those sent since."""

    def send_resync(self, app_id: str, device_id: str, channels: list[str]) -> None:
        """Tell the device to read these channels again."""

    def send_unsubscribed(
        self, app_id: str, device_id: str, channels: list[str], reason: WireError
    ) -> None:
        """Notify the device that these subscriptions have ended, now or when it resumes."""


class _Change:
    """A change of an application, and the devices that must still be narrowed.

    For each device, `due` has what its channels have shown since they last agreed with the roles,
    and `ended` the channels that have ended, with the reasons, until it is notified. `failed` are
    the devices whose last attempt failed.
    """

    def __init__(self, former: Application, present: Application) -> None:
        self.former = former
        self.present = present
        self.due: dict[str, dict[str, Filter]] = {}
        self.ended: dict[str, dict[str, WireError]] = {}
        self.failed: set[str] = set()


class Narrowing:
    """Narrows the subscriptions of this node's devices when an application changes."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        host: NarrowingHost,
        transport: str,
        node: str,
        logger: Logger,
    ) -> None:
        self._database = database
        self._registry = registry
        self._host = host
        self._transport = transport
        self._node = node
        self._logger = logger
        self._changes: dict[str, _Change] = {}
        self._lock = asyncio.Lock()

    async def application_changed(
        self, former: Application | None, present: Application | None
    ) -> None:
        """Bring every subscription of the application in line with its roles and schema.

        Raises `ServiceUnavailable` if some could not be changed. Call it again to continue with
        those. It may also be cancelled and called again.
        """
        if former is None:
            return
        if present is None or not present.keeps_sessions_of(former):
            self._changes.pop(former.id, None)
            self._host.end_sessions(former.id)
            return
        change = self._changes.get(present.id)
        if change is None or change.present is not present:
            change = self._begin(former, present)
            await self._withhold(change)
        await self._go_on(change)

    def _begin(self, former: Application, present: Application) -> _Change:
        change = _Change(former, present)
        predecessor = self._changes.get(present.id)
        left = {} if predecessor is None else predecessor.due
        change.ended = {} if predecessor is None else predecessor.ended
        for device in self._host.devices(present.id):
            change.due[device.device_id] = left.get(device.device_id, {})
        self._changes[present.id] = change
        return change

    async def _withhold(self, change: _Change) -> None:
        """Stop showing devices what they may not see, even if services cannot be reached."""
        for number, device in enumerate(self._host.devices(change.present.id)):
            if self._changes.get(change.present.id) is not change:
                return
            for subscription in device.subscriptions:
                with suppress(InvalidParameters):  # it is ended, see `_narrow_or_end`
                    moving = rerouted(subscription, change.present)
                    if moving is not None and moving != subscription:
                        self._host.withhold(moving)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _go_on(self, change: _Change) -> None:
        """Narrow the devices that are due, some at a time; a failure does not block the others."""
        served = {device.device_id: device for device in self._host.devices(change.present.id)}
        for gone in change.due.keys() - served.keys():
            del change.due[gone]
            change.ended.pop(gone, None)
        devices = iter([served[device_id] for device_id in change.due])
        failures: list[Exception] = []
        while some := list(islice(devices, _AT_ONCE)):
            # A later change waits for these, and is then applied on top.
            async with self._lock:
                outcomes = await asyncio.gather(
                    *(self._follow(change, device) for device in some), return_exceptions=True
                )
            for device, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    change.failed.add(device.device_id)
                    failures.append(outcome)
        for failure in failures:
            if not isinstance(failure, ServiceUnavailable):
                raise failure
        if failures:
            raise ServiceUnavailable(
                f"the subscriptions of {len(failures)} devices are still to be narrowed: "
                f"{failures[0]}"
            )

    async def _follow(self, change: _Change, device: ServedDevice) -> None:
        """Narrow one device's subscriptions, unless a later change of the application does."""
        app_id, device_id = change.present.id, device.device_id
        if self._changes.get(app_id) is not change:
            return
        placements = await self._registry.subscriptions.placements(app_id, device_id)
        failure: ServiceUnavailable | None = None
        for placement in placements:
            is_here = placement.served_by == (self._transport, self._node)
            if not (is_here or device.is_connected or device_id in change.failed):
                # It went to another node, which narrows what it serves. One that failed may have
                # gone there after that; the host has the other node learn of what is done here.
                continue
            try:
                await self._narrow_or_end(placement.subscription, change)
            except ServiceUnavailable as error:
                failure = error
        ended = change.ended.get(device_id, {})
        if ended or [each.subscription for each in placements] != list(device.subscriptions):
            # This attempt or an earlier one has changed the registry.
            await self._adopt(app_id, device_id)
        for channel, reason in change.ended.pop(device_id, {}).items():
            self._host.send_unsubscribed(app_id, device_id, [channel], reason)
        if failure is not None:
            raise failure
        change.due.pop(device_id, None)

    async def _narrow_or_end(self, subscription: Subscription, change: _Change) -> None:
        try:
            await self._narrow(subscription, change)
        except ServiceUnavailable:
            raise
        except WireError as error:
            self._logger.info(
                "a subscription that no longer fits its application was ended",
                channel=subscription.channel_id,
                reason=error.message,
            )
            await self._end(subscription, change, error)

    async def _narrow(self, subscription: Subscription, change: _Change) -> None:
        present, name = change.present, subscription.descriptor.model
        moving = rerouted(subscription, present)
        if moving is None:
            if name not in present.models:
                raise ModelNotFound(f"there is no model {name!r} any more")
            raise InvalidParameters(f"{name} cannot be subscribed to any more")
        if moving.narrowing_from is None:
            return
        model = present.models[name]
        allowed = permitted_rows(present, subscription)
        rows = rows_of(subscription.descriptor, model)
        shown = self._note_shown(subscription, change, model)
        await self._host.serve(moving)
        if not model.transient:
            await self._take_away(moving, model, conjoin(rows, negate(allowed)), shown)
        if allowed == NOTHING:
            raise AccessDenied(f"you may not subscribe to {name} any more")
        await self._host.serve(msgspec.structs.replace(moving, narrowing_from=None))
        if not model.transient:
            channels = [subscription.channel_id]
            self._host.send_resync(present.id, subscription.device_id, channels)

    def _note_shown(self, subscription: Subscription, change: _Change, model: ModelType) -> Filter:
        """Return all that the channel has shown, under the rules before this change or earlier
        ones.

        If a narrowing was not finished before the next one began, there are two routes or more.
        """
        former = change.former.models.get(model.name, model)
        shown = change.due.setdefault(subscription.device_id, {})
        routes = [subscription.route, subscription.narrowing_from]
        parts = [_access_of(route, model, former) for route in routes if route is not None]
        noted = disjoin(shown.get(subscription.channel_id, NOTHING), *parts)
        shown[subscription.channel_id] = noted
        return noted

    async def _take_away(
        self, subscription: Subscription, model: ModelType, lost: Filter, shown: Filter
    ) -> None:
        """Deny the device the `lost` objects, as far as they were `shown`."""
        was_shown: Callable[[Document], bool] | None = None
        if _is_answerable(shown, model):
            lost = conjoin(lost, shown)
        else:
            was_shown = compile_matcher(shown)
        by_id = Query(subscription.app_id, model, lost, (SortKey("id"),), _PAGE)
        async for page in pages(self._database, by_id):
            denied = [
                _identify(document) for document in page if was_shown is None or was_shown(document)
            ]
            if denied:
                self._host.send_denied(
                    subscription.app_id, subscription.device_id, subscription.channel_id, denied
                )

    async def _end(self, subscription: Subscription, change: _Change, reason: WireError) -> None:
        app_id, device_id = subscription.app_id, subscription.device_id
        await self._registry.subscriptions.remove(app_id, device_id, [subscription.channel_id])
        change.ended.setdefault(device_id, {})[subscription.channel_id] = reason

    async def _adopt(self, app_id: str, device_id: str) -> None:
        with suppress(DeviceNotConnected):  # It has left meanwhile, and nothing is served to it.
            await self._host.adopt(app_id, device_id)


def _access_of(route: Route, *models: ModelType) -> Filter:
    """Return the objects that a route permits, by the first of the models that can parse it."""
    if route.access is None:
        return EVERYTHING
    for model in models:
        with suppress(InvalidParameters):
            return from_document(route.access, model)
    return EVERYTHING  # No known schema has the fields, so nothing can be ruled out.


def _is_answerable(filter: Filter, model: ModelType) -> bool:
    """Return whether the database can evaluate it: a field may no longer be filterable."""
    try:
        from_document(to_document(filter), model)
    except InvalidParameters:
        return False
    return True


def _identify(document: Document) -> dict[str, Any]:
    named = ("id", "type", "appId", "userId", "version")
    return {name: document[name] for name in named if name in document}
