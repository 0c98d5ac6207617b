"""Subscriptions of devices, and the routes that they add up to.

The truth is a hash per device and model, with the channels' subscriptions and where each is
counted. It has the hash tag of the model's routes, so that a subscription and the routes' counts
change in one step, and a step that is executed twice changes nothing. Two hints have other tags.
They are written before the truth, so that they name too much rather than too little: the models
of each device, to find its subscriptions, and the models of each node, to clean up after it.

A channel's devices are also in sets, `PARTITIONS` per channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.routes import LEDGER, RedisRoutes, place_of
from nexxus.adapters.redis.scripts import Script
from nexxus.domain.channels import Subscription
from nexxus.interfaces.registry import Placement, RouteChanges, SubscriptionStore

PARTITIONS: Final = 16

_RETIRED_AT_ONCE: Final = 200
"""Subscriptions of a dead node that are removed in one step; one device's are never split."""

_DEVICES_AT_ONCE: Final = 50

_HINT_OUTLIVES: Final = 24 * 3600
"""Seconds for which the models of a removed device are kept, so that a subscription that was made
at the same time can still be found and removed."""

_PLACES: Final = f"""
{LEDGER}
-- A device's entry for a channel: made at, place, node, route, former route or '', subscription.

local function partition_of(device, channel)
  local partition = tonumber(string.sub(redis.sha1hex(device), 1, 4), 16) % {PARTITIONS}
  return M .. ':' .. channel .. ':partition:' .. partition
end

local function release(device, entry)
  count_out(entry[4], entry[2])
  if entry[5] ~= '' then count_out(entry[5], entry[2]) end
  if redis.call('HINCRBY', M .. ':served:' .. entry[3], device, -1) <= 0 then
    redis.call('HDEL', M .. ':served:' .. entry[3], device)
  end
end

-- With a place, only what is served there.
local function remove(device, channel, place)
  local found = redis.call('HGET', M .. ':device:' .. device, channel)
  if not found then return end
  local entry = cmsgpack.unpack(found)
  if place and entry[2] ~= place then return end
  redis.call('HDEL', M .. ':device:' .. device, channel)
  redis.call('SREM', partition_of(device, channel), device)
  release(device, entry)
end
"""

_SUBSCRIBE: Final = Script(
    _PLACES,
    """
local device, channel, place, node, route, route_said, former, former_said, said = unpack(ARGV)
local channels = M .. ':device:' .. device
local found = redis.call('HGET', channels, channel)
local held = found and cmsgpack.unpack(found)
local made_at = held and held[1] or text(now(1000000))
local entry = cmsgpack.pack({made_at, place, node, route, former, said})
if found == entry then return end
redis.call('HSET', channels, channel, entry)
redis.call('SADD', partition_of(device, channel), device)
redis.call('HINCRBY', M .. ':served:' .. node, device, 1)
-- Counting the new one first keeps a route alive that both are members of.
count_in(route, route_said, place)
if former ~= '' then count_in(former, former_said, place) end
if held then release(device, held) end
""",
)

_UNSUBSCRIBE: Final = Script(
    _PLACES,
    """
local place = ARGV[2] ~= '' and ARGV[2] or nil
for index = 3, #ARGV do remove(ARGV[1], ARGV[index], place) end
""",
    flag="allow-oom",
)

_FORGET: Final = Script(
    _PLACES,
    """
for _, channel in ipairs(redis.call('HKEYS', M .. ':device:' .. ARGV[1])) do
  remove(ARGV[1], channel)
end
""",
    flag="allow-oom",
)

_RETIRE: Final = Script(
    _PLACES,
    """
local node, left = ARGV[1], tonumber(ARGV[2])
local served = M .. ':served:' .. node
for _, device in ipairs(redis.call('HRANDFIELD', served, ARGV[3])) do
  local channels = redis.call('HGETALL', M .. ':device:' .. device)
  for index = 1, #channels, 2 do
    if cmsgpack.unpack(channels[index + 1])[3] == node then
      remove(device, channels[index])
      left = left - 1
    end
  end
  redis.call('HDEL', served, device)
  if left <= 0 then break end
end
return redis.call('HLEN', served)
""",
    flag="allow-oom",
)

_Entry: TypeAlias = tuple[str, str, str, str, str, str]

_ENTRIES: Final = msgspec.msgpack.Decoder(_Entry)
_PLACE: Final = msgspec.json.Decoder(tuple[str, str])
_SUBSCRIPTIONS: Final = msgspec.json.Decoder(Subscription)


class RedisSubscriptions(SubscriptionStore):
    """Application → device → channel → subscription."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._routes = RedisRoutes(link, keys)

    async def put(self, subscription: Subscription, transport: str, node: str) -> None:
        app_id, device_id = subscription.app_id, subscription.device_id
        route, former = subscription.route, subscription.narrowing_from
        model = route.descriptor.model
        served = msgspec.json.encode((app_id, model))
        await self._link.batch(
            [
                ("SADD", self._keys.node(node, "models"), served),
                ("SADD", self._models(app_id, device_id), model),
                ("PERSIST", self._models(app_id, device_id)),
            ]
        )
        await self._link.run(
            _SUBSCRIBE,
            [self._keys.model(app_id, model)],
            device_id,
            subscription.channel_id,
            place_of(transport, node),
            node,
            route.key,
            msgspec.json.encode(route),
            "" if former is None else former.key,
            "" if former is None else msgspec.json.encode(former),
            msgspec.json.encode(subscription),
        )

    async def remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str] | None = None,
    ) -> None:
        if channel_ids:
            place = place_of(*served_by) if served_by is not None else ""
            models = await self._models_of(app_id, device_id)
            await self._link.run_each(
                _UNSUBSCRIBE,
                [
                    ([self._keys.model(app_id, model)], (device_id, place, *channel_ids))
                    for model in models
                ],
            )

    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        models = await self._models_of(app_id, device_id)
        found = await self._link.batch(
            [("HVALS", f"{self._keys.model(app_id, model)}:device:{device_id}") for model in models]
        )
        entries = [_ENTRIES.decode(raw) for each in found for raw in each]
        entries.sort(key=lambda entry: int(entry[0]))
        return [
            Placement(_SUBSCRIPTIONS.decode(entry[5]), *_PLACE.decode(entry[1]))
            for entry in entries
        ]

    async def routes_version(self, app_id: str, model: str) -> int:
        return await self._routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        return await self._routes.changes(app_id, model, since)

    async def remove_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove all subscriptions of devices."""
        for device_id in device_ids:
            models = await self._models_of(app_id, device_id)
            await self._link.run_each(
                _FORGET,
                [([self._keys.model(app_id, model)], (device_id,)) for model in models],
            )
            await self._link.execute("EXPIRE", self._models(app_id, device_id), _HINT_OUTLIVES)

    async def retire_some(self, node_id: str) -> bool:
        """Remove some subscriptions that a node serves. Returns False if there are no more."""
        models = self._keys.node(node_id, "models")
        found = await self._link.execute("SRANDMEMBER", models)
        if found is None:
            return False
        app_id, model = msgspec.json.decode(found, type=tuple[str, str])
        left = await self._link.run(
            _RETIRE,
            [self._keys.model(app_id, model)],
            node_id,
            _RETIRED_AT_ONCE,
            _DEVICES_AT_ONCE,
        )
        if not left:
            await self._link.execute("SREM", models, found)
        return True

    async def clear_routes(self, model_key: str) -> None:
        """Publish that the routes of a model are gone, once their keys are removed."""
        await self._routes.clear(model_key)

    async def _models_of(self, app_id: str, device_id: str) -> list[str]:
        """The models that a device may have subscriptions of."""
        found = await self._link.execute("SMEMBERS", self._models(app_id, device_id))
        return sorted(model.decode() for model in found)

    def _models(self, app_id: str, device_id: str) -> str:
        return self._keys.device(app_id, device_id, "models")
