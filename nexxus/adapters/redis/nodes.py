"""Which nodes are alive, and which node cleans up after a dead one. All in one slot.

``alive`` has each node with the end of its lease, ``info`` each node's description, ``retiring``
each node that is being cleaned up after, with the end of the cleaner's own lease. When that
expires, because the cleaner died, the next one that looks takes over. An endless lease is held by
no cleaner: it makes a node that came back put everything back once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from redis.crc import key_slot

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.presence import RedisPresence
from nexxus.adapters.redis.pushes import RedisPushes
from nexxus.adapters.redis.scripts import NOW, Script
from nexxus.adapters.redis.subscriptions import RedisSubscriptions
from nexxus.domain.pushes import RESYNC
from nexxus.interfaces.registry import RESYNC_WITHIN, Node, NodeStore

LEASE: Final = 10.0
"""Seconds for which one sweeper owns a dead node. Each step of the cleaning renews the lease and
takes far less than that."""

_RETIRED_AT_ONCE: Final = 200
_MARK_LIFETIME: Final = 24 * 3600
_SLOTS: Final = 16_384
_PARTS: Final = 64

_ANNOUNCE: Final = Script(
    NOW,
    """
local alive, info, retiring = KEYS[1], KEYS[2], KEYS[3]
local node, lifetime, said, time = ARGV[1], tonumber(ARGV[2]), ARGV[3], now(1000)
local is_known = redis.call('ZSCORE', alive, node)
local lease = redis.call('ZSCORE', retiring, node)
if lease and (lease == 'inf' or tonumber(lease) <= time) then
  redis.call('ZREM', retiring, node)
end
redis.call('ZADD', alive, text(time + lifetime), node)
redis.call('HSET', info, node, said)
if is_known and not lease then return 1 end
return 0
""",
    flag="allow-oom",
)
"""While another node still cleans up after this one, this one does not count as known, because
the cleaner may remove what it puts back. The cleaner stops at its next look and leaves an endless
lease, so that what its last step removed is put back, too; the announcement after that one is the
first that returns 1."""

_ALIVE: Final = Script(
    NOW,
    """
local nodes = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now(1000)), '+inf')
if #nodes == 0 then return {} end
return redis.call('HMGET', KEYS[2], unpack(nodes))
""",
    flag="no-writes",
)

_TAKE: Final = Script(
    NOW,
    """
local alive, retiring = KEYS[1], KEYS[2]
local time = now(1000)
local found = redis.call('ZRANGEBYSCORE', retiring, '-inf', text(time), 'LIMIT', 0, 1)
if #found == 0 then
  found = redis.call('ZRANGEBYSCORE', alive, '-inf', text(time), 'LIMIT', 0, 1)
end
if #found == 0 then return false end
redis.call('ZREM', alive, found[1])
redis.call('ZADD', retiring, text(time + tonumber(ARGV[1])), found[1])
return found[1]
""",
    flag="allow-oom",
)

_LEAVE: Final = Script(
    NOW,
    """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], text(now(1000) + tonumber(ARGV[2])), ARGV[1])
""",
    flag="allow-oom",
)

_HOLD: Final = Script(
    NOW,
    """
local alive, retiring, node = KEYS[1], KEYS[2], ARGV[1]
if redis.call('ZSCORE', alive, node) then
  redis.call('ZADD', retiring, '+inf', node)
  return 0
end
if not redis.call('ZSCORE', retiring, node) then return 0 end
redis.call('ZADD', retiring, text(now(1000) + tonumber(ARGV[2])), node)
return 1
""",
    flag="allow-oom",
)

_FINISH: Final = Script(
    """
local alive, info, retiring, node = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('ZSCORE', alive, node) then
  redis.call('ZADD', retiring, '+inf', node)
  return 0
end
if redis.call('ZREM', retiring, node) == 0 then return 0 end
redis.call('HDEL', info, node)
return 1
""",
    flag="allow-oom",
)


class RedisNodes(NodeStore):
    """The nodes' leases, and the cleaning up after dead nodes."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        presence: RedisPresence,
        subscriptions: RedisSubscriptions,
        pushes: RedisPushes,
    ) -> None:
        self._link = link
        self._keys = keys
        self._presence = presence
        self._subscriptions = subscriptions
        self._pushes = pushes
        self._alive = keys.nodes("alive")
        self._info = keys.nodes("info")
        self._retiring = keys.nodes("retiring")
        self._servers: frozenset[str] = frozenset()

    async def announce(self, node: Node, lifetime: float) -> bool:
        # Data may be missing when the node was taken for dead, when a part of Redis has lost its
        # data, and when a server was not there before: one that restarted or took over from
        # another may lack what was written in its predecessor's last second.
        servers = frozenset(facts["run_id"] for facts in await self._link.facts())
        said = msgspec.json.encode(node)
        is_known = await self._link.run(
            _ANNOUNCE, [self._alive, self._info, self._retiring], node.id, _ms(lifetime), said
        )
        has_marks = await self._look_for_marks(node.id)
        has_new_servers = bool(self._servers) and not servers <= self._servers
        self._servers = servers
        return bool(is_known) and has_marks and not has_new_servers

    async def retire(self, node_id: str) -> None:
        await self._link.run(_LEAVE, [self._alive, self._retiring], node_id, _ms(LEASE))
        await self._clean_up_after(node_id)

    async def alive(self) -> list[Node]:
        found = await self._link.run(_ALIVE, [self._alive, self._info])
        return [msgspec.json.decode(each, type=Node) for each in found if each is not None]

    async def sweep(self) -> list[str]:
        swept = []
        while (dead := await self.take_dead()) is not None:
            if await self._clean_up_after(dead):
                swept.append(dead)
        return swept

    async def take_dead(self) -> str | None:
        """Take a node whose lease has expired; the caller alone cleans up after it."""
        found = await self._link.run(_TAKE, [self._alive, self._retiring], _ms(LEASE))
        return None if found is None else str(found.decode())

    async def _clean_up_after(self, node_id: str) -> bool:
        """Remove what a node held, in small steps. Returns whether this call finished the work.

        Each step removes from the node's lists what it has removed itself. If this process dies,
        the one that takes the node over continues from there.
        """
        while await self._presence.retire_some(node_id, _RETIRED_AT_ONCE):
            if not await self.hold(node_id):
                return False
        while (served := await self._subscriptions.find_served(node_id)) is not None:
            app_id, model, device_ids, persistent = served
            # First: a crash in between repeats the notice rather than losing it.
            await self._pushes.add(app_id, persistent, RESYNC, within=RESYNC_WITHIN)
            await self._subscriptions.retire_some(node_id, app_id, model, device_ids)
            if not await self.hold(node_id):
                return False
        await self._link.batch([("UNLINK", mark) for mark in self._marks(node_id)])
        keys = [self._alive, self._info, self._retiring]
        return bool(await self._link.run(_FINISH, keys, node_id))

    async def hold(self, node_id: str) -> bool:
        """Renew the lease on a dead node. Returns False if it is back, or already cleaned up."""
        return bool(await self._link.run(_HOLD, [self._alive, self._retiring], node_id, _ms(LEASE)))

    async def _look_for_marks(self, node_id: str) -> bool:
        """Return whether every part of a cluster still has the node's mark; set those missing."""
        marks = self._marks(node_id)
        # Not SET for all of them, because Redis refuses that when it is out of memory.
        found = await self._link.batch([("GETEX", mark, "EX", _MARK_LIFETIME) for mark in marks])
        missing = [mark for mark, value in zip(marks, found, strict=True) if value is None]
        await self._link.batch([("SET", mark, 1, "EX", _MARK_LIFETIME) for mark in missing])
        return not missing

    def _marks(self, node_id: str) -> Sequence[str]:
        """One key in each part of a cluster. A single server loses everything or nothing."""
        tags = _TAGS if self._link.is_cluster else ()
        return [self._keys.mark(tag, node_id) for tag in tags]


def _tags() -> tuple[str, ...]:
    """Return one hash tag for each of `_PARTS` equal parts of a cluster's slots."""
    tags: dict[int, str] = {}
    number = 0
    while len(tags) < _PARTS:
        tag = f"mark-{number}"
        part = key_slot(f"@{tag}".encode()) * _PARTS // _SLOTS
        tags.setdefault(part, tag)
        number += 1
    return tuple(tags.values())


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


_TAGS: Final = _tags()
