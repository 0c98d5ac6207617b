"""Routes: which nodes have subscribers of which audience, and what changed since a version.

All keys of one (application, model) have one hash tag, so that a route's state and the version
change in one step. Below the model's key, see `Keys.model`:

- ``:version`` is the number of the last change: Redis's clock in microseconds, or the previous
  version plus one if that is larger. A Redis that has lost everything thus begins above every
  version that it has returned, and the state of a transport manager is recognised as old.
- ``:changed`` has every route with the version of its last change, including those that are gone;
- ``:gone`` has only those, at most `GONE_REMEMBERED`;
- ``:floor`` is a version: a caller that knows an earlier one gets all routes;
- ``:routes`` has each route as JSON, ``:nodes:<route>`` its nodes with their subscriber counts,
  and under `AWAY` the number of away devices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.scripts import NOW, Script
from nexxus.domain.channels import Route
from nexxus.interfaces.registry import RouteChanges, RouteState

GONE_REMEMBERED: Final = 10_000
"""How many of the routes that went away last a model remembers."""

AWAY: Final = "away"
"""Counts the devices that are away, as if a node served them."""

_PAGE: Final = 500
"""Routes that are read in one step, during which Redis serves no other client."""

_DROPPED_LIFETIME: Final = 24 * 3600
"""Seconds for which the version of a dropped model is kept, for all that knew its routes."""

LEDGER: Final = f"""
{NOW}
local M = KEYS[1]

local function next_version()
  local last = redis.call('GET', M .. ':version')
  local version = now(1000000)
  if last and tonumber(last) >= version then version = tonumber(last) + 1 end
  redis.call('SET', M .. ':version', text(version))
  if not last then redis.call('SET', M .. ':floor', text(version)) end
  redis.call('PERSIST', M .. ':floor')
  return text(version)
end

local function count_in(route, said, place)
  if redis.call('HINCRBY', M .. ':nodes:' .. route, place, 1) > 1 then return end
  redis.call('HSET', M .. ':routes', route, said)
  redis.call('ZREM', M .. ':gone', route)
  redis.call('ZADD', M .. ':changed', next_version(), route)
end

local function count_out(route, place)
  local nodes = M .. ':nodes:' .. route
  if redis.call('HINCRBY', nodes, place, -1) > 0 then return end
  redis.call('HDEL', nodes, place)
  local version = next_version()
  redis.call('ZADD', M .. ':changed', version, route)
  if redis.call('EXISTS', nodes) == 1 then return end
  redis.call('ZADD', M .. ':gone', version, route)
  if redis.call('ZCARD', M .. ':gone') > {GONE_REMEMBERED} then
    local oldest = redis.call('ZPOPMIN', M .. ':gone')
    redis.call('ZREM', M .. ':changed', oldest[1])
    redis.call('HDEL', M .. ':routes', oldest[1])
    redis.call('SET', M .. ':floor', text(tonumber(oldest[2])))
  end
end
"""
"""For scripts that count subscribers; a place is a (transport, node) as JSON."""

_READ: Final = Script(
    """
local M = KEYS[1]
local found = redis.call('ZRANGEBYSCORE', M .. ':changed', '(' .. ARGV[1], '+inf',
                         'WITHSCORES', 'LIMIT', 0, ARGV[2])
local states, last = {}, false
for index = 1, #found, 2 do
  local said = redis.call('HGET', M .. ':routes', found[index])
  states[#states + 1] = {said, redis.call('HKEYS', M .. ':nodes:' .. found[index])}
  last = found[index + 1]
end
return {redis.call('GET', M .. ':version'), redis.call('GET', M .. ':floor'), last, states}
""",
    flag="no-writes",
)

_CLEAR: Final = Script(
    LEDGER,
    """
if redis.call('EXISTS', M .. ':version') == 0 then return end
redis.call('SET', M .. ':floor', next_version())
redis.call('EXPIRE', M .. ':version', ARGV[1])
redis.call('EXPIRE', M .. ':floor', ARGV[1])
""",
    flag="allow-oom",
)


class RedisRoutes:
    """All routes, by application and model."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def version(self, app_id: str, model: str) -> int:
        """The version of a model's routes."""
        return int(
            await self._link.execute("GET", f"{self._keys.model(app_id, model)}:version") or 0
        )

    async def changes(self, app_id: str, model: str, since: int) -> RouteChanges:
        """What has changed in the model's routes after a version.

        It is read in pages, in the order of change. A route that changes in the meantime appears
        again at the end, so that no page misses one; its version is above the returned one, and
        the next call repeats it.
        """
        name = self._keys.model(app_id, model)
        version, floor = await self._link.execute("MGET", f"{name}:version", f"{name}:floor")
        if version is None:
            return RouteChanges(0, True, [])
        told = int(version)
        complete = since <= 0 or since > told or floor is None or since < int(floor)
        after = 0 if complete else since
        states: dict[str, RouteState] = {}
        while True:
            version, floor, last, found = await self._link.run(_READ, [name], after, _PAGE)
            if version is None or int(version) < told or (not complete and int(floor) > after):
                # Redis has lost its data, or has forgotten an ended route that was not read yet.
                return await self.changes(app_id, model, 0)
            for said, places in found:
                state = RouteState(_DECODER.decode(said), *_nodes_of(tuple(places)))
                states[state.route.key] = state
            if len(found) < _PAGE:
                break
            after = int(last)
        there = [
            state for state in states.values() if state.nodes or state.has_away or not complete
        ]
        return RouteChanges(told, complete, there)

    async def clear(self, name: str) -> None:
        """Publish that the routes of the model with this key are gone."""
        await self._link.run(_CLEAR, [name], _DROPPED_LIFETIME)


_DECODER: Final = msgspec.json.Decoder(Route)


def place_of(transport: str, node: str) -> str:
    """Return the name of a (transport, node) within the scripts."""
    return msgspec.json.encode((transport, node)).decode()


@lru_cache(maxsize=1024)
def _nodes_of(places: tuple[bytes, ...]) -> tuple[frozenset[tuple[str, str]], bool]:
    """Return the nodes, and whether there are away devices; one set for equal routes."""
    away = AWAY.encode()
    nodes = frozenset(
        msgspec.json.decode(place, type=tuple[str, str]) for place in places if place != away
    )
    return nodes, away in places
