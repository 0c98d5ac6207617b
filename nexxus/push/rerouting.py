"""Rerouting: the subscriptions that no node serves follow their application's roles.

Gateways narrow the subscriptions that they serve. A subscription that no node serves only needs
another route: its device has received nothing meanwhile, and reads its channels again when it
connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from nexxus.domain.application import Application
from nexxus.errors import InvalidParameters
from nexxus.interfaces.registry import PARTITIONS, Registry
from nexxus.objects.subscriptions import rerouted

_AT_ONCE: Final = 32


class Rerouting:
    """Gives the unserved subscriptions of an application new routes when it changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def application_changed(
        self, former: Application | None, present: Application | None
    ) -> None:
        """Bring every subscription that no node serves in line with the application.

        Those of sessions that the change has ended are removed. Every node does this; correct
        subscriptions do not change. May be cancelled and called again.
        """
        if former is None or present is None:
            return
        is_over = not present.keeps_sessions_of(former)
        reroute = partial(self._reroute, present=present, is_over=is_over)
        for model in former.models:
            async for page in self._away(former.id, model):
                await asyncio.gather(*(reroute(each) for each in page))

    async def _away(self, app_id: str, model: str) -> AsyncIterator[list[str]]:
        """Iterate over the devices that are away and have subscriptions to a model, by pages."""
        changes = await self._registry.subscriptions.routes(app_id, model, 0)
        for key in [state.route.key for state in changes.states if state.has_away]:
            for partition in range(PARTITIONS):
                after = ""
                while page := await self._registry.subscriptions.away(
                    app_id, model, key, partition, after=after, limit=_AT_ONCE
                ):
                    yield page
                    after = page[-1]

    async def _reroute(self, device_id: str, *, present: Application, is_over: bool) -> None:
        store = self._registry.subscriptions
        for placement in await store.placements(present.id, device_id):
            subscription = placement.subscription
            if placement.served_by is not None:
                continue
            following = None
            with suppress(InvalidParameters):  # it does not fit the schema any more
                following = None if is_over else rerouted(subscription, present)
            if following is None:
                await store.remove(present.id, device_id, [subscription.channel_id])
            elif following != subscription:
                settled = msgspec.structs.replace(following, narrowing_from=None)
                await store.put_away(settled, is_new=False)
