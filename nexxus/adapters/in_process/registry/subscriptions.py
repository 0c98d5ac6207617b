"""Subscriptions of devices, and the routes that they add up to.

In memory; persistent subscriptions are also on disk, from where `load` reads them at the start.
"""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from nexxus.adapters.in_process.registry.routes import AWAY, InProcessRoutes, NodeKey
from nexxus.domain.channels import Subscription
from nexxus.interfaces.registry import (
    Placement,
    Presence,
    RouteChanges,
    RouteState,
    SubscriptionStore,
    partition_of,
)
from nexxus.toolkit.sqlite_engine import SqliteEngine

_STATES_PER_TURN: Final = 5_000
"""How many route states are created before the event loop gets its turn."""

_PUT: Final = """
INSERT INTO subscriptions (app_id, device_id, channel_id, subscription) VALUES (?, ?, ?, ?)
ON CONFLICT (app_id, device_id, channel_id) DO UPDATE SET subscription = excluded.subscription
"""

_DELETE: Final = "DELETE FROM subscriptions WHERE app_id = ? AND device_id = ? AND channel_id = ?"

_decode = msgspec.json.Decoder(Subscription).decode

_Row: TypeAlias = tuple[str, str, str, Subscription | None]
"""Application, device, channel, and what is to be stored; None deletes the row."""


class _Placed(msgspec.Struct, frozen=True, gc=False):
    """A subscription, the node that serves it, and whether its device is away."""

    subscription: Subscription
    node: NodeKey | None
    is_away: bool = False


class InProcessSubscriptions(SubscriptionStore):
    """Application → device → channel id → subscription.

    `presences` are those of `PresenceStore`: application → device → presence.
    """

    def __init__(
        self, engine: SqliteEngine, presences: Mapping[str, Mapping[str, Presence]]
    ) -> None:
        self._engine = engine
        self._presences = presences
        self._routes = InProcessRoutes()
        self._by_app: dict[str, dict[str, dict[str, _Placed]]] = {}
        self._nodes: dict[NodeKey, NodeKey] = {}
        self._away: dict[tuple[str, int], set[str]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def route_count(self) -> int:
        """The number of routes of all models."""
        return len(self._routes)

    async def load(self) -> list[tuple[str, str]]:
        """Read the persistent subscriptions. Returns the (application, device) pairs."""
        rows = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT subscription FROM subscriptions ORDER BY place"
            ).fetchall()
        )
        subscriptions = [_decode(row[0]) for row in rows]
        for subscription in subscriptions:
            self._set(_Placed(subscription, None, is_away=True))
        return list(dict.fromkeys((each.app_id, each.device_id) for each in subscriptions))

    async def put(self, subscription: Subscription, transport: str, node: str) -> None:
        self._engine.check_open()
        # One tuple per node, not one per subscription.
        place = self._nodes.setdefault((transport, node), (transport, node))
        is_away = subscription.is_persistent and not self._is_present(subscription)
        former = self._set(_Placed(subscription, place, is_away))
        if subscription.is_persistent:
            await self._store([_row(subscription)])
        elif former is not None and former.subscription.is_persistent:
            await self._store([_row(subscription, is_gone=True)])

    async def put_away(self, subscription: Subscription, *, is_new: bool) -> bool:
        self._engine.check_open()
        former = self._find(subscription.app_id, subscription.device_id, subscription.channel_id)
        if (former is None and not is_new) or (former is not None and former.node is not None):
            return False
        self._set(_Placed(subscription, None, not self._is_present(subscription)))
        await self._store([_row(subscription)])
        return True

    async def release(
        self, app_id: str, device_id: str, channel_ids: Sequence[str], *, served_by: NodeKey
    ) -> None:
        self._engine.check_open()
        for channel_id in channel_ids:
            placed = self._find(app_id, device_id, channel_id)
            if placed is None or placed.node != served_by:
                continue
            self._end_service(placed)

    async def remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: NodeKey | None = None,
    ) -> None:
        self._engine.check_open()
        await self._store(self._remove(app_id, device_id, channel_ids, served_by))

    async def set_persistent(self, app_id: str, device_id: str, is_persistent: bool) -> None:
        self._engine.check_open()
        rows: list[_Row] = []
        for placed in list(self._of(app_id, device_id).values()):
            if placed.subscription.is_persistent == is_persistent:
                continue
            changed = msgspec.structs.replace(placed.subscription, is_persistent=is_persistent)
            rows.append(_row(changed, is_gone=not is_persistent))
            if placed.node is None:
                self._remove(app_id, device_id, [changed.channel_id])
            else:
                is_away = is_persistent and not self._is_present(changed)
                self._set(_Placed(changed, placed.node, is_away))
        await self._store(rows)

    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        self._engine.check_open()
        return [
            Placement(placed.subscription, placed.node)
            for placed in self._of(app_id, device_id).values()
        ]

    async def away(
        self,
        app_id: str,  # noqa: ARG002 - the key names it as well
        model: str,  # noqa: ARG002
        key: str,
        partition: int,
        *,
        after: str = "",
        limit: int = 1000,
    ) -> list[str]:
        self._engine.check_open()
        found = sorted(self._away.get((key, partition), ()))
        start = bisect_right(found, after) if after else 0
        return found[start : start + limit]

    async def routes_version(self, app_id: str, model: str) -> int:
        self._engine.check_open()
        return self._routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        self._engine.check_open()
        version, complete, entries = self._routes.changes(app_id, model, since)
        states: list[RouteState] = []
        for start in range(0, len(entries), _STATES_PER_TURN):
            if start:
                # A state that changes meanwhile is newer than `version`, and is repeated later.
                await asyncio.sleep(0)
            states += [entry.state() for entry in entries[start : start + _STATES_PER_TURN]]
        return RouteChanges(version, complete, states)

    def follow_presence(self, app_id: str, device_id: str) -> bool:
        """Note whether a device is away. Returns whether it has persistent subscriptions."""
        found = [
            placed
            for placed in self._of(app_id, device_id).values()
            if placed.subscription.is_persistent
        ]
        for placed in found:
            is_away = not self._is_present(placed.subscription)
            self._set(msgspec.structs.replace(placed, is_away=is_away))
        return bool(found)

    async def remove_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove all subscriptions of devices."""
        rows: list[_Row] = []
        for device_id in device_ids:
            rows += self._remove(app_id, device_id, list(self._of(app_id, device_id)))
        await self._store(rows)

    def retire(self, node_id: str) -> list[tuple[str, str]]:
        """End the service by a node. Returns the persistent (application, device) pairs."""
        served = [
            placed
            for devices in self._by_app.values()
            for channels in devices.values()
            for placed in channels.values()
            if placed.node is not None and placed.node[1] == node_id
        ]
        for placed in served:
            self._end_service(placed)
        for node in [node for node in self._nodes if node[1] == node_id]:
            del self._nodes[node]
        kept = (each.subscription for each in served if each.subscription.is_persistent)
        return list(dict.fromkeys((each.app_id, each.device_id) for each in kept))

    def drop(self, app_id: str) -> None:
        """Remove an application's subscriptions from memory; its routes' versions keep growing."""
        for device_id, channels in list(self._by_app.get(app_id, {}).items()):
            self._remove(app_id, device_id, list(channels))
        self._by_app.pop(app_id, None)

    def _is_present(self, subscription: Subscription) -> bool:
        return subscription.device_id in self._presences.get(subscription.app_id, ())

    def _of(self, app_id: str, device_id: str) -> Mapping[str, _Placed]:
        return self._by_app.get(app_id, {}).get(device_id, {})

    def _find(self, app_id: str, device_id: str, channel_id: str) -> _Placed | None:
        return self._of(app_id, device_id).get(channel_id)

    def _set(self, placed: _Placed) -> _Placed | None:
        """Add a subscription, or replace the one to the same channel, which is returned."""
        # The new one is counted first, so that a route which both use does not end in between.
        placed = self._count_in(placed)
        subscription = placed.subscription
        channels = self._by_app.setdefault(subscription.app_id, {}).setdefault(
            subscription.device_id, {}
        )
        former = channels.get(subscription.channel_id)
        channels[subscription.channel_id] = placed
        if former is None:
            self._count += 1
        else:
            self._count_out(former)
        self._list_away(placed)
        return former

    def _end_service(self, placed: _Placed) -> None:
        subscription = placed.subscription
        if subscription.is_persistent:
            self._set(_Placed(subscription, None, not self._is_present(subscription)))
        else:
            self._remove(subscription.app_id, subscription.device_id, [subscription.channel_id])

    def _remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Iterable[str],
        served_by: NodeKey | None = None,
    ) -> list[_Row]:
        """Remove subscriptions from memory. Returns the changes that follow on disk."""
        rows: list[_Row] = []
        devices = self._by_app.get(app_id, {})
        channels = devices.get(device_id)
        if channels is None:
            return rows
        for channel_id in channel_ids:
            placed = channels.get(channel_id)
            if placed is not None and served_by in (None, placed.node):
                del channels[channel_id]
                self._count -= 1
                self._count_out(placed)
                if placed.subscription.is_persistent:
                    rows.append(_row(placed.subscription, is_gone=True))
        if not channels:
            del devices[device_id]
        return rows

    def _count_in(self, placed: _Placed) -> _Placed:
        """Count a subscription on its routes, and share what all members of a route share."""
        subscription = placed.subscription
        route = subscription.route
        if placed.node is not None:
            route = self._routes.add(route, placed.node)
            if subscription.narrowing_from is not None:
                self._routes.add(subscription.narrowing_from, placed.node)
        if placed.is_away:
            route = self._routes.add(route, AWAY)
        descriptor, channel_id = subscription.descriptor, subscription.channel_id
        shared = msgspec.structs.replace(
            subscription,
            app_id=route.app_id,
            channel_id=route.key if route.key == channel_id else channel_id,
            descriptor=route.descriptor if route.descriptor == descriptor else descriptor,
            route=route,
        )
        return _Placed(shared, placed.node, placed.is_away)

    def _count_out(self, placed: _Placed) -> None:
        subscription = placed.subscription
        if placed.node is not None:
            self._routes.remove(subscription.route, placed.node)
            if subscription.narrowing_from is not None:
                self._routes.remove(subscription.narrowing_from, placed.node)
        if placed.is_away:
            self._routes.remove(subscription.route, AWAY)
            part = (subscription.route.key, partition_of(subscription.device_id))
            self._away[part].discard(subscription.device_id)
            if not self._away[part]:
                del self._away[part]

    def _list_away(self, placed: _Placed) -> None:
        if placed.is_away:
            subscription = placed.subscription
            part = (subscription.route.key, partition_of(subscription.device_id))
            self._away.setdefault(part, set()).add(subscription.device_id)

    async def _store(self, rows: list[_Row]) -> None:
        if rows:
            await self._engine.write_together(_write, rows)


def _row(subscription: Subscription, *, is_gone: bool = False) -> _Row:
    stored = None if is_gone else subscription
    return (subscription.app_id, subscription.device_id, subscription.channel_id, stored)


def _write(connection: sqlite3.Connection, batches: Sequence[Sequence[_Row]]) -> list[None]:
    # One row after another, because a subscription may be put and removed in one batch.
    for *name, subscription in (row for batch in batches for row in batch):
        if subscription is None:
            connection.execute(_DELETE, name)
        else:
            connection.execute(_PUT, (*name, msgspec.json.encode(subscription).decode()))
    return [None] * len(batches)
