"""Which nodes are alive, and who may clear up after a dead one. All in one slot.

``alive`` has each node with the end of its lifetime, ``info`` what it said of itself, ``retiring``
each node that is being cleared up after, with the end of the lease of whoever does it. A lease
that runs out, because its holder died, is taken over by the next who looks. One that never ends
is nobody's: it tells a node that came back to put everything back once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from redis.crc import key_slot

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Link
from nexxus.adapters.redis.scripts import NOW, Script
from nexxus.interfaces.registry import Node

LEASE: Final = 10.0
"""Seconds for which a dead node is one sweeper's. Far longer than any of its steps takes, each
of which renews it."""

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
"""While somebody still clears up after the node, it is not known: he may yet remove what it puts
back. He stops as soon as he looks, and leaves an endless lease: so what his last step removed is
put back as well, and the announcement after that one is the first that counts."""

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


class Nodes:
    """The nodes that announced themselves."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._alive = keys.nodes("alive")
        self._info = keys.nodes("info")
        self._retiring = keys.nodes("retiring")
        self._servers: frozenset[str] = frozenset()

    async def announce(self, node: Node, lifetime: float) -> bool:
        """The node is alive for `lifetime` s more; whether everything of it must still be there.

        It may not be when the node was taken for dead, when a part of Redis has lost its data,
        and when a server is new to us: one that restarted or took over from another may lack
        what was written in its predecessor's last second.
        """
        servers = frozenset(facts["run_id"] for facts in await self._link.facts())
        said = msgspec.json.encode(node)
        is_known = await self._link.run(
            _ANNOUNCE, [self._alive, self._info, self._retiring], node.id, _ms(lifetime), said
        )
        has_marks = await self._look_for_marks(node.id)
        has_new_servers = bool(self._servers) and not servers <= self._servers
        self._servers = servers
        return bool(is_known) and has_marks and not has_new_servers

    async def alive(self) -> list[Node]:
        """The nodes whose lifetime runs."""
        found = await self._link.run(_ALIVE, [self._alive, self._info])
        return [msgspec.json.decode(each, type=Node) for each in found if each is not None]

    async def take_dead(self) -> str | None:
        """A node whose lifetime has run out, to be cleared up after by the caller alone."""
        found = await self._link.run(_TAKE, [self._alive, self._retiring], _ms(LEASE))
        return None if found is None else str(found.decode())

    async def leave(self, node_id: str) -> None:
        """A node goes: it is the caller's to clear up after."""
        await self._link.run(_LEAVE, [self._alive, self._retiring], node_id, _ms(LEASE))

    async def hold(self, node_id: str) -> bool:
        """Go on with a node that was taken; False when it is back, or somebody else is done."""
        return bool(await self._link.run(_HOLD, [self._alive, self._retiring], node_id, _ms(LEASE)))

    async def finish(self, node_id: str) -> bool:
        """Nothing of the node is left; True for one of those who may say so."""
        marks = [("UNLINK", mark) for mark in self._marks(node_id)]
        await self._link.batch(marks)
        keys = [self._alive, self._info, self._retiring]
        return bool(await self._link.run(_FINISH, keys, node_id))

    async def _look_for_marks(self, node_id: str) -> bool:
        """Whether no part of a cluster has forgotten the node; its marks are there afterwards."""
        marks = self._marks(node_id)
        # Not SET for all of them: that is refused where memory has run out.
        found = await self._link.batch([("GETEX", mark, "EX", _MARK_LIFETIME) for mark in marks])
        missing = [mark for mark, value in zip(marks, found, strict=True) if value is None]
        await self._link.batch([("SET", mark, 1, "EX", _MARK_LIFETIME) for mark in missing])
        return not missing

    def _marks(self, node_id: str) -> Sequence[str]:
        """One key in each part of a cluster; a single server has forgotten all or nothing."""
        tags = _TAGS if self._link.is_cluster else ()
        return [self._keys.mark(tag, node_id) for tag in tags]


def _tags() -> tuple[str, ...]:
    """Hash tags that divide the slots of a cluster into `_PARTS` equal parts, one for each."""
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
