"""Sessions, a key each, so that a request needs one ``GET``.

A session, its device's pointer to it and its user's list are on different servers of a cluster.
They are written in an order that makes a crash in between harmless:

1. the user's list, which is only a hint: an entry counts if the session exists;
2. the session itself, whose tokens no client has yet;
3. the device's pointer, in one step with a note that the former session must be ended;
4. the former session is ended, then the note is removed. A crash leaves the note, and the next
   `put` for the device ends the sessions that its notes name.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.scripts import Script
from nexxus.interfaces.registry import Session, SessionStore

_DECODER: Final = msgspec.json.Decoder(Session)

_POINT: Final = Script("""
local former = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'EXAT', ARGV[2])
if former and former ~= ARGV[1] then redis.call('SADD', KEYS[2], former) else former = false end
redis.call('SREM', KEYS[2], ARGV[1])
return {former, redis.call('SMEMBERS', KEYS[2])}
""")
"""Point the device to its session. Returns the session that it replaces, and all to be ended."""

_PART: Final = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end",
    flag="allow-oom",
)
"""Clear the device's pointer if it names this session."""

_ROTATE: Final = Script(
    """
local present = redis.call('GET', KEYS[1])
if not present then return 0 end
if present == ARGV[2] then return 1 end  -- sent again because the answer was lost
if cjson.decode(present).generation ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EXAT', ARGV[3])
return 1
""",
    flag="allow-oom",
)


class RedisSessions(SessionStore):
    """Application → session. The keys expire with their sessions."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def put(self, session: Session) -> str | None:
        app_id, device_id = session.app_id, session.device_id
        if session.user_id is not None:
            listed = self._listed(app_id, session.user_id)
            await self._link.batch(
                [
                    ("ZREMRANGEBYSCORE", listed, "-inf", int(time.time())),
                    ("ZADD", listed, session.expires_at, session.id),
                    # As long as the longest of them: NX sets a first end, GT only a later one.
                    ("EXPIREAT", listed, session.expires_at, "NX"),
                    ("EXPIREAT", listed, session.expires_at, "GT"),
                ]
            )
        name = self._keys.session(app_id, session.id)
        await self._link.execute(
            "SET", name, msgspec.json.encode(session), "EXAT", session.expires_at
        )
        former, to_end = await self._link.run(
            _POINT,
            [self._pointer(app_id, device_id), self._ending(app_id, device_id)],
            session.id,
            session.expires_at,
        )
        await self._end_noted(app_id, device_id, [each.decode() for each in to_end])
        return None if former is None else former.decode()

    async def get(self, app_id: str, session_id: str) -> Session | None:
        found = await self._link.execute("GET", self._keys.session(app_id, session_id))
        return None if found is None else _DECODER.decode(found)

    async def rotate(self, session: Session, *, expected_generation: int) -> bool:
        rotated = await self._link.run(
            _ROTATE,
            [self._keys.session(session.app_id, session.id)],
            expected_generation,
            msgspec.json.encode(session),
            session.expires_at,
        )
        return bool(rotated)

    async def end(self, app_id: str, session_id: str) -> Session | None:
        found = await self._link.execute("GETDEL", self._keys.session(app_id, session_id))
        if found is None:
            return None
        session = _DECODER.decode(found)
        # The session has ended; the rest only removes what points to it.
        await self._link.run(_PART, [self._pointer(app_id, session.device_id)], session_id)
        if session.user_id is not None:
            await self._link.execute("ZREM", self._listed(app_id, session.user_id), session_id)
        return session

    async def of_device(self, app_id: str, device_id: str) -> Session | None:
        current = await self._link.execute("GET", self._pointer(app_id, device_id))
        return None if current is None else await self.get(app_id, current.decode())

    async def of_user(self, app_id: str, user_id: str) -> list[Session]:
        listed = self._listed(app_id, user_id)
        ids = await self._link.execute("ZRANGE", listed, int(time.time()), "+inf", "BYSCORE")
        found = await self._link.batch(
            [("GET", self._keys.session(app_id, each.decode())) for each in ids]
        )
        sessions = [_DECODER.decode(each) for each in found if each is not None]
        return [session for session in sessions if session.user_id == user_id]

    async def end_of_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """End the sessions of devices."""
        for device_id in device_ids:
            current = await self._link.execute("GET", self._pointer(app_id, device_id))
            if current is not None:
                await self.end(app_id, current.decode())
            noted = await self._link.execute("SMEMBERS", self._ending(app_id, device_id))
            await self._end_noted(app_id, device_id, [each.decode() for each in noted])

    async def _end_noted(self, app_id: str, device_id: str, session_ids: Sequence[str]) -> None:
        for session_id in session_ids:
            await self.end(app_id, session_id)
            await self._link.execute("SREM", self._ending(app_id, device_id), session_id)

    def _pointer(self, app_id: str, device_id: str) -> str:
        return self._keys.device(app_id, device_id, "session")

    def _ending(self, app_id: str, device_id: str) -> str:
        """Sessions that were replaced and may not have ended yet; nearly always none."""
        return self._keys.device(app_id, device_id, "ending")

    def _listed(self, app_id: str, user_id: str) -> str:
        return self._keys.user(app_id, user_id, "sessions")
