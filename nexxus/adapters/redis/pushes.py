"""What devices that are away are to learn, and when.

A device's notices are a sorted set of its own, in the order in which they were added. The schedule
of all devices is in one slot: ``due`` has each device with the time when it is due, ``attempts``
those that were retried. Notices are added before their device is scheduled, so that a crash in
between is made up for by the caller that repeats the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.scripts import NOW, Script
from nexxus.domain.pushes import PushNotice
from nexxus.interfaces.registry import MAX_NOTICES, DuePush, PushStore

_AT_ONCE: Final = 200

_ADD: Final = Script(
    f"""
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[1], 'NX', last[2] and tonumber(last[2]) + 1 or 1, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -{MAX_NOTICES + 1})
"""
)

_SCHEDULE: Final = Script(
    NOW,
    """
local due_at = text(now(1000) + tonumber(ARGV[1]))
for index = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'NX', due_at, ARGV[index])
  if ARGV[2] == '1' then redis.call('ZADD', KEYS[1], 'LT', due_at, ARGV[index]) end
end
""",
)

_TAKE: Final = Script(
    NOW,
    """
local time = now(1000)
local until_ = text(time + tonumber(ARGV[2]))
local taken = {}
for _, device in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(time),
                                   'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', KEYS[1], until_, device)
  taken[#taken + 1] = {device, redis.call('HGET', KEYS[2], device) or '0'}
end
return {until_, taken}
""",
    flag="allow-oom",
)

_DROP: Final = Script(
    """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
return redis.call('ZCARD', KEYS[1])
""",
    flag="allow-oom",
)

_RESCHEDULE: Final = Script(
    NOW,
    """
local device, attempts, lease, delay = unpack(ARGV)
if attempts == '0' then
  redis.call('HDEL', KEYS[2], device)
else
  redis.call('HSET', KEYS[2], device, attempts)
end
local score = redis.call('ZSCORE', KEYS[1], device)
if lease == '' or not score or text(tonumber(score)) ~= lease then return end
if delay == '' then
  redis.call('ZREM', KEYS[1], device)
else
  redis.call('ZADD', KEYS[1], text(now(1000) + tonumber(delay)), device)
end
""",
    flag="allow-oom",
)
"""Sets the attempts, and the time if the lease is the last one that was set."""

_decode = msgspec.json.Decoder(PushNotice).decode
_NAME: Final = msgspec.json.Decoder(tuple[str, str])


class _Handle(msgspec.Struct, frozen=True, array_like=True):
    """What was taken: up to which notice, and when the lease ends."""

    last: int
    lease: str


class RedisPushes(PushStore):
    """The schedule of all applications, and each device's notices."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._due = keys.pushes("due")
        self._attempts = keys.pushes("attempts")

    async def add(
        self, app_id: str, device_ids: Sequence[str], notice: PushNotice, *, within: float
    ) -> None:
        encoded = msgspec.json.encode(notice)
        for start in range(0, len(device_ids), _AT_ONCE):
            some = device_ids[start : start + _AT_ONCE]
            notices = [([self._notices(app_id, device_id)], (encoded,)) for device_id in some]
            await self._link.run_each(_ADD, notices)
            names = [_name(app_id, device_id) for device_id in some]
            await self._link.run(_SCHEDULE, [self._due], _ms(within), 1, *names)

    async def schedule(self, app_id: str, device_id: str, delay: float) -> None:
        name = _name(app_id, device_id)
        await self._link.run(_SCHEDULE, [self._due], _ms(delay), 0, name)

    async def take(self, limit: int, *, lease: float) -> list[DuePush]:
        until, taken = await self._link.run(_TAKE, [self._due, self._attempts], limit, _ms(lease))
        names = [_NAME.decode(name) for name, _ in taken]
        found = await self._link.batch(
            [("ZRANGE", self._notices(*name), 0, -1, "WITHSCORES") for name in names]
        )
        due = []
        for name, (_, attempts), notices in zip(names, taken, found, strict=True):
            last = int(notices[-1]) if notices else 0
            handle = msgspec.json.encode(_Handle(last, until.decode())).decode()
            due.append(DuePush(*name, tuple(map(_decode, notices[::2])), int(attempts), handle))
        return due

    async def done(self, due: DuePush, *, again_in: float | None) -> None:
        handle = msgspec.json.decode(due.handle, type=_Handle)
        notices = self._notices(due.app_id, due.device_id)
        left = await self._link.run(_DROP, [notices], handle.last)
        lease = "" if left else handle.lease
        await self._reschedule(due, 0, lease, "" if again_in is None else _ms(again_in))

    async def retry(self, due: DuePush, delay: float, *, failed: bool = True) -> None:
        handle = msgspec.json.decode(due.handle, type=_Handle)
        await self._reschedule(due, due.attempts + failed, handle.lease, _ms(delay))

    async def drop(self, app_id: str) -> None:
        """Remove an application's devices from the schedule."""
        cursor = 0
        while True:
            cursor, found = await self._link.execute("ZSCAN", self._due, cursor, "COUNT", 500)
            names = [name for name, _ in found if _NAME.decode(name)[0] == app_id]
            if names:
                await self._link.execute("ZREM", self._due, *names)
                await self._link.execute("HDEL", self._attempts, *names)
            if not cursor:
                return

    async def scheduled(self) -> int:
        """Return the number of devices that are scheduled."""
        return int(await self._link.execute("ZCARD", self._due))

    async def _reschedule(self, due: DuePush, attempts: int, lease: str, delay: int | str) -> None:
        name = _name(due.app_id, due.device_id)
        keys = [self._due, self._attempts]
        await self._link.run(_RESCHEDULE, keys, name, attempts, lease, delay)

    def _notices(self, app_id: str, device_id: str) -> str:
        return self._keys.device(app_id, device_id, "pushes")


def _name(app_id: str, device_id: str) -> bytes:
    return msgspec.json.encode((app_id, device_id))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
