"""Subscriptions of devices, and the routes that they add up to.

The truth is a hash per device and model, with the channels' subscriptions and where each is
counted. It has the hash tag of the model's routes, so that a subscription and the routes' counts
change in one step, and a step that is executed twice changes nothing. Some hints have other tags.
They are written before the truth, so that they name too much rather than too little: the models
of each device, and those of which it has persistent subscriptions, to find them; and the models
of each node, to clean up after it.

A channel's devices are also in sets, `PARTITIONS` per channel; those that are away are in sorted
sets by route, with the score 0, so that they are in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.routes import AWAY, LEDGER, RedisRoutes, place_of
from nexxus.adapters.redis.scripts import Script
from nexxus.domain.channels import Subscription
from nexxus.interfaces.registry import (
    PARTITIONS,
    Placement,
    RouteChanges,
    SubscriptionStore,
)

_RETIRED_AT_ONCE: Final = 200
"""Subscriptions of a dead node that are handled in one step; one device's are never split."""

_DEVICES_AT_ONCE: Final = 50

_HINT_OUTLIVES: Final = 24 * 3600
"""Seconds for which the models of a removed device are kept, so that a subscription that was made
at the same time can still be found and removed."""

_PLACES: Final = f"""
{LEDGER}
-- A device's entry for a channel: made at, place or '', node or '', route, former route or '',
-- subscription; then '' for a volatile one, 'p' for a persistent one, 'a' if its device is away;
-- and of a persistent one the route as JSON, which `:routes` may have forgotten.

local function partition_of(device)
  return tonumber(string.sub(redis.sha1hex(device), 1, 4), 16) % {PARTITIONS}
end

local function members(device, channel)
  return M .. ':' .. channel .. ':partition:' .. partition_of(device)
end

local function away(device, route)
  return M .. ':away:' .. partition_of(device) .. ':' .. route
end

-- `said` is the route as JSON, and `former_said` the former one.
local function count_entry_in(device, entry, said, former_said)
  if entry[2] ~= '' then
    redis.call('HINCRBY', M .. ':served:' .. entry[3], device, 1)
    count_in(entry[4], said, entry[2])
    if entry[5] ~= '' then count_in(entry[5], former_said, entry[2]) end
  end
  if entry[7] == 'a' then count_in(entry[4], said, '{AWAY}') end
end

local function count_entry_out(device, entry)
  if entry[2] ~= '' then
    count_out(entry[4], entry[2])
    if entry[5] ~= '' then count_out(entry[5], entry[2]) end
    if redis.call('HINCRBY', M .. ':served:' .. entry[3], device, -1) <= 0 then
      redis.call('HDEL', M .. ':served:' .. entry[3], device)
    end
  end
  if entry[7] == 'a' then
    count_out(entry[4], '{AWAY}')
    redis.call('ZREM', away(device, entry[4]), device)
  end
end

local function put(device, channel, held, entry, said, former_said)
  local packed = cmsgpack.pack(entry)
  if held and cmsgpack.pack(held) == packed then return end
  redis.call('HSET', M .. ':device:' .. device, channel, packed)
  redis.call('SADD', members(device, channel), device)
  -- The new one is counted first, so that a route which both use does not end in between.
  count_entry_in(device, entry, said, former_said)
  if held then count_entry_out(device, held) end
  if entry[7] == 'a' then redis.call('ZADD', away(device, entry[4]), 0, device) end
end

local function remove(device, channel, held)
  redis.call('HDEL', M .. ':device:' .. device, channel)
  redis.call('SREM', members(device, channel), device)
  count_entry_out(device, held)
end

-- A route that a node serves is known.
local function said_of(route) return redis.call('HGET', M .. ':routes', route) end

local function change(device, channel, held, place, node, state)
  local said = held[8] ~= '' and held[8] or said_of(held[4])
  local former_said = held[5] ~= '' and place ~= '' and said_of(held[5]) or ''
  local kept = state ~= '' and said or ''
  local entry = {{held[1], place, node, held[4], held[5], held[6], state, kept}}
  put(device, channel, held, entry, said, former_said)
end

local function end_service(device, channel, held)
  if held[7] == '' then
    remove(device, channel, held)
  else
    change(device, channel, held, '', '', held[7])
  end
end

local function find(device, channel)
  local found = redis.call('HGET', M .. ':device:' .. device, channel)
  return found and cmsgpack.unpack(found)
end

-- Calls `act` with every channel of a device and its entry.
local function each_of(device, act)
  local channels = redis.call('HGETALL', M .. ':device:' .. device)
  for index = 1, #channels, 2 do act(channels[index], cmsgpack.unpack(channels[index + 1])) end
end
"""

_PUT: Final = Script(
    _PLACES,
    """
local device, channel, place, node, route, said, former, former_said, subscription, state =
  unpack(ARGV)
local held = find(device, channel)
if held and held[7] == 'a' and state == 'p' then state = 'a' end
local made_at = held and held[1] or text(now(1000000))
local kept = state ~= '' and said or ''
local entry = {made_at, place, node, route, former, subscription, state, kept}
put(device, channel, held, entry, said, former_said)
""",
)

_PUT_AWAY: Final = Script(
    _PLACES,
    """
local device, channel, is_new, route, said, subscription = unpack(ARGV)
local held = find(device, channel)
if held and held[2] ~= '' then return 0 end
if not held and is_new == '0' then return 0 end
local made_at = held and held[1] or text(now(1000000))
local state = held and held[7] or 'a'
put(device, channel, held, {made_at, '', '', route, '', subscription, state, said}, said, '')
return 1
""",
)

_RELEASE: Final = Script(
    _PLACES,
    """
local device, place = ARGV[1], ARGV[2]
for index = 3, #ARGV do
  local held = find(device, ARGV[index])
  if held and held[2] == place then end_service(device, ARGV[index], held) end
end
""",
    flag="allow-oom",
)

_REMOVE: Final = Script(
    _PLACES,
    """
local device, place = ARGV[1], ARGV[2]
for index = 3, #ARGV do
  local held = find(device, ARGV[index])
  if held and (place == '' or held[2] == place) then remove(device, ARGV[index], held) end
end
""",
    flag="allow-oom",
)

_SET_PERSISTENT: Final = Script(
    _PLACES,
    """
local device, is_persistent = ARGV[1], ARGV[2] == '1'
each_of(device, function(channel, held)
  if is_persistent and held[7] == '' then
    change(device, channel, held, held[2], held[3], 'p')
  elseif not is_persistent and held[2] == '' then
    remove(device, channel, held)
  elseif not is_persistent and held[7] ~= '' then
    change(device, channel, held, held[2], held[3], '')
  end
end)
""",
    flag="allow-oom",
)

_SET_AWAY: Final = Script(
    _PLACES,
    """
local device, state = ARGV[1], ARGV[2]
each_of(device, function(channel, held)
  if held[7] ~= '' then change(device, channel, held, held[2], held[3], state) end
end)
""",
    flag="allow-oom",
)

_FORGET: Final = Script(
    _PLACES,
    """
each_of(ARGV[1], function(channel, held) remove(ARGV[1], channel, held) end)
""",
    flag="allow-oom",
)

_SERVED: Final = Script(
    _PLACES,
    """
local node = ARGV[1]
local devices, persistent = redis.call('HRANDFIELD', M .. ':served:' .. node, ARGV[2]), {}
for _, device in ipairs(devices) do
  local is_persistent = false
  each_of(device, function(channel, held)
    is_persistent = is_persistent or (held[3] == node and held[7] ~= '')
  end)
  if is_persistent then persistent[#persistent + 1] = device end
end
return {devices, persistent}
""",
    flag="allow-oom",
)
"""Some of the devices that a node serves, and which of those are persistent."""

_RETIRE: Final = Script(
    _PLACES,
    """
local node, left = ARGV[1], tonumber(ARGV[2])
local served = M .. ':served:' .. node
for index = 3, #ARGV do
  local device = ARGV[index]
  each_of(device, function(channel, held)
    if held[3] == node then
      end_service(device, channel, held)
      left = left - 1
    end
  end)
  redis.call('HDEL', served, device)
  if left <= 0 then break end
end
return redis.call('HLEN', served)
""",
    flag="allow-oom",
)

_Entry: TypeAlias = tuple[str, str, str, str, str, str, str, str]

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
        await self._hint(subscription, node)
        await self._link.run(
            _PUT,
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
            "p" if subscription.is_persistent else "",
        )
        if subscription.is_persistent:
            await self.follow_presence(app_id, device_id)

    async def put_away(self, subscription: Subscription, *, is_new: bool) -> bool:
        route = subscription.route
        await self._hint(subscription)
        stored = await self._link.run(
            _PUT_AWAY,
            [self._keys.model(subscription.app_id, route.descriptor.model)],
            subscription.device_id,
            subscription.channel_id,
            int(is_new),
            route.key,
            msgspec.json.encode(route),
            msgspec.json.encode(subscription),
        )
        if stored and is_new:
            await self.follow_presence(subscription.app_id, subscription.device_id)
        return bool(stored)

    async def release(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str],
    ) -> None:
        if channel_ids:
            place = place_of(*served_by)
            await self._run_on_models(_RELEASE, app_id, device_id, place, *channel_ids)

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
            await self._run_on_models(_REMOVE, app_id, device_id, place, *channel_ids)

    async def set_persistent(self, app_id: str, device_id: str, is_persistent: bool) -> None:
        models = await self._models_of(app_id, device_id)
        if is_persistent and models:
            await self._link.execute("SADD", self._keys.persistent(app_id, device_id), *models)
        await self._run_on_models(_SET_PERSISTENT, app_id, device_id, int(is_persistent))
        if is_persistent:
            await self.follow_presence(app_id, device_id)

    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        models = await self._models_of(app_id, device_id)
        found = await self._link.batch(
            [("HVALS", f"{self._keys.model(app_id, model)}:device:{device_id}") for model in models]
        )
        entries = [_ENTRIES.decode(raw) for each in found for raw in each]
        entries.sort(key=lambda entry: int(entry[0]))
        return [_placement(entry) for entry in entries]

    async def away(
        self,
        app_id: str,
        model: str,
        key: str,
        partition: int,
        *,
        after: str = "",
        limit: int = 1000,
    ) -> list[str]:
        start = f"({after}" if after else "-"
        listed = f"{self._keys.model(app_id, model)}:away:{partition}:{key}"
        found = await self._link.execute("ZRANGEBYLEX", listed, start, "+", "LIMIT", 0, limit)
        return [device_id.decode() for device_id in found]

    async def routes_version(self, app_id: str, model: str) -> int:
        return await self._routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        return await self._routes.changes(app_id, model, since)

    async def follow_presence(self, app_id: str, device_id: str) -> bool:
        """Note whether a device is away. Returns whether it may have persistent subscriptions.

        The presence is on another server of a cluster. It is read again afterwards, so that of
        concurrent calls the last one to finish has seen what is there by then.
        """
        presence = self._keys.device(app_id, device_id, "presence")
        is_present: int | None = None
        while True:
            found, models = await self._link.batch(
                [
                    ("EXISTS", presence),
                    ("SMEMBERS", self._keys.persistent(app_id, device_id)),
                ]
            )
            if not models or found == is_present:
                return bool(models)
            is_present = found
            names = [self._keys.model(app_id, model.decode()) for model in models]
            state = "p" if is_present else "a"
            await self._link.run_each(_SET_AWAY, [([name], (device_id, state)) for name in names])

    async def remove_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove all subscriptions of devices."""
        for device_id in device_ids:
            await self._run_on_models(_FORGET, app_id, device_id)
            for hint in (
                self._keys.device(app_id, device_id, "models"),
                self._keys.persistent(app_id, device_id),
            ):
                await self._link.execute("EXPIRE", hint, _HINT_OUTLIVES)

    async def find_served(self, node_id: str) -> tuple[str, str, list[str], list[str]] | None:
        """Find some devices that a node serves, to be given to `retire_some`.

        Returns the application, the model, the devices and which of them are persistent; None if
        there are no more.
        """
        models = self._keys.node(node_id, "models")
        found = await self._link.execute("SRANDMEMBER", models)
        if found is None:
            return None
        app_id, model = msgspec.json.decode(found, type=tuple[str, str])
        devices, persistent = await self._link.run(
            _SERVED, [self._keys.model(app_id, model)], node_id, _DEVICES_AT_ONCE
        )
        return app_id, model, _decoded(devices), _decoded(persistent)

    async def retire_some(
        self, node_id: str, app_id: str, model: str, device_ids: Sequence[str]
    ) -> None:
        """End the service of a model's subscriptions of these devices by a node."""
        left = await self._link.run(
            _RETIRE,
            [self._keys.model(app_id, model)],
            node_id,
            _RETIRED_AT_ONCE,
            *device_ids,
        )
        if not left:
            served = msgspec.json.encode((app_id, model))
            await self._link.execute("SREM", self._keys.node(node_id, "models"), served)

    async def clear_routes(self, model_key: str) -> None:
        """Publish that the routes of a model are gone, once their keys are removed."""
        await self._routes.clear(model_key)

    async def _hint(self, subscription: Subscription, node: str = "") -> None:
        """Note where a subscription can be found."""
        app_id, device_id = subscription.app_id, subscription.device_id
        model = subscription.route.descriptor.model
        models = self._keys.device(app_id, device_id, "models")
        persistent = self._keys.persistent(app_id, device_id)
        commands = [("SADD", models, model), ("PERSIST", models)]
        if subscription.is_persistent:
            commands += [("SADD", persistent, model), ("PERSIST", persistent)]
        if node:
            served = msgspec.json.encode((app_id, model)).decode()
            commands.append(("SADD", self._keys.node(node, "models"), served))
        await self._link.batch(commands)

    async def _run_on_models(
        self, script: Script, app_id: str, device_id: str, *arguments: str | int
    ) -> None:
        """Run a script on each of a device's models."""
        models = await self._models_of(app_id, device_id)
        await self._link.run_each(
            script,
            [([self._keys.model(app_id, model)], (device_id, *arguments)) for model in models],
        )

    async def _models_of(self, app_id: str, device_id: str) -> list[str]:
        """The models that a device may have subscriptions of."""
        models = self._keys.device(app_id, device_id, "models")
        return sorted(_decoded(await self._link.execute("SMEMBERS", models)))


def _placement(entry: _Entry) -> Placement:
    subscription = _SUBSCRIPTIONS.decode(entry[5])
    is_persistent = entry[6] != ""
    if subscription.is_persistent != is_persistent:
        subscription = msgspec.structs.replace(subscription, is_persistent=is_persistent)
    return Placement(subscription, _PLACE.decode(entry[1]) if entry[1] else None)


def _decoded(texts: Sequence[bytes]) -> list[str]:
    return [text.decode() for text in texts]
