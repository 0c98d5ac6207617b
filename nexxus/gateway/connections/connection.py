"""Connections: frames waiting to be sent, requests received, and time limits.

An idle connection is one object without its own task, timer or buffer, because a node may have a
hundred thousand of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

from nexxus.domain.identity import Identity
from nexxus.errors import ServiceUnavailable, WireError
from nexxus.gateway.connections.deadlines import Deadlines
from nexxus.gateway.connections.frames import encode_frame
from nexxus.gateway.connections.request_queue import RequestQueue
from nexxus.gateway.connections.requests import (
    DirectRequest,
    FrameRequest,
    PeerRequest,
    Registration,
    UnreadableFrame,
)
from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.gateway.seams import TokenClaims
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.transport import CloseCode, Framing, Wire

if TYPE_CHECKING:
    from nexxus.gateway.devices.resident import Resident


_SOON: Final = 1.0
"""The seconds left for the first frame of a device that has subscribed over HTTP."""


class Owner(Protocol):
    """The owner of a connection, which handles its messages."""

    settings: GatewaySettings
    deadlines: Deadlines
    collector: FrameCollector
    is_draining: bool

    async def handle(
        self, connection: Connection, message: PeerRequest, pass_on: Callable[[], None]
    ) -> None:
        """Handle one message. The next one begins on return, or when `pass_on` is called."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in a task that is awaited before the gateway stops."""
        ...

    def released(self, connection: Connection) -> None:
        """Handle that the connection is closing or lost. Called once."""
        ...

    def gone(self, connection: Connection) -> None:
        """Handle that the connection's socket is closed. The last call."""
        ...

    def gave_up_resuming(self, connection: Connection) -> None:
        """Handle that no frame has followed ``register`` in time."""
        ...

    def bound_window(self, seconds: float | None) -> float:
        """Return the resume window for a connection that asks for `seconds`."""
        ...


class Connection:
    """One peer of a transport. `due` belongs to `Deadlines`, `pending` to the `FrameCollector`.

    `claims` is None until the connection has registered. `device` is None when the connection holds
    no device. After `expires`, in the loop's time, nothing is sent. `awaits_first_frame` is true
    between ``register`` and the next frame, which is the only one that may be a ``resume``.
    """

    __slots__ = (
        "__weakref__",
        "_is_lost",
        "_last_heard",
        "_next_ping",
        "_owner",
        "_patience",
        "_requests",
        "_resume_window",
        "_was_cut_off",
        "awaits_first_frame",
        "claims",
        "device",
        "due",
        "expires",
        "framing",
        "id",
        "is_closing",
        "pending",
        "wire",
    )

    def __init__(
        self,
        *,
        id: str,
        wire: Wire,
        framing: Framing,
        owner: Owner,
        now: float,
        resume_window: float,
    ) -> None:
        self.id = id
        self.wire = wire
        self.framing = framing
        self.pending: list[bytes] = []
        self.claims: TokenClaims | None = None
        self.device: Resident | None = None
        self.expires = inf
        self.awaits_first_frame = False
        self.is_closing = False
        self.due = inf
        self._owner = owner
        self._resume_window = resume_window
        self._requests: RequestQueue | None = None
        self._is_lost = False
        self._was_cut_off = False
        self._last_heard = now
        self._next_ping = now + (wire.ping_interval or owner.settings.ping_interval)
        # One deadline serves three states that follow each other: until `register`, until the
        # first frame after it, and until the peer has answered a close.
        self._patience = now + owner.settings.register_timeout
        self._schedule()

    # What goes out

    def send(
        self,
        event: str,
        data: Any,
        *,
        ref: str | None = None,
        cursor: str | None = None,
        channels: Iterable[str] = (),
    ) -> None:
        """Send one frame, together with all others of this turn of the loop."""
        frame = encode_frame(self.framing, event, data, ref=ref, cursor=cursor, channels=channels)
        self.send_bytes(frame)

    def send_error(self, code: str, message: str, **more: Any) -> None:
        """Send an ``error`` frame; the connection stays open."""
        self.send("error", {"code": code, "message": message, **more})

    def send_bytes(self, frame: bytes) -> None:
        """Send an encoded frame, together with all others of this turn of the loop."""
        if not self.is_closing and frame:
            self._owner.collector.put(self, frame)

    def close(self, code: int, reason: str, *, after_pending: bool = True) -> None:
        """Close with a code. Pending frames are sent before or dropped."""
        if self.is_closing:
            return
        if after_pending:
            self._owner.collector.flush_one(self)
            if self.is_closing:
                return
        self._close(code, reason)

    def expire(self) -> None:
        """Close because the token is no longer valid; pending frames are dropped."""
        self.close(CloseCode.TOKEN_EXPIRED, "token_expired", after_pending=False)

    def drop_as_slow(self) -> None:
        """Close because the peer does not read its frames."""
        self.close(CloseCode.SLOW_CONSUMER, "slow_consumer", after_pending=False)

    def _close(self, code: int, reason: str) -> None:
        self._begin_closing()
        self._forget_waiting()
        self._patience = self._now() + self._owner.settings.close_timeout
        self.wire.close(code, reason)
        self._owner.released(self)
        # The peer's answer has to be read, even if its messages were not.
        self.wire.resume_reading()
        self._schedule()

    def _begin_closing(self) -> None:
        self.is_closing = True
        self.pending.clear()
        self.expires = -inf  # The collector looks at this alone.

    # What comes in

    def heard(self) -> None:
        """See `DeviceConnection.heard`."""
        self._last_heard = self._now()

    def received(self, frame: bytes) -> None:
        """See `DeviceConnection.received`."""
        self._take(FrameRequest(self, frame))

    def refuse(self, error: WireError) -> None:
        """See `DeviceConnection.refuse`."""
        self._take(UnreadableFrame(self, error))

    async def request(self, event: str, data: Any) -> tuple[int, Any]:
        """See `DeviceConnection.request`."""
        return await self._answer_to(DirectRequest(event, data))

    async def register(self, identity: Identity, *, cursor: str | None = None) -> None:
        """See `DeviceConnection.register`."""
        await self._answer_to(Registration(identity, cursor))

    async def _answer_to(self, asked: DirectRequest) -> tuple[int, Any]:
        if not self._take(asked):
            raise ServiceUnavailable("this connection accepts no more requests")
        return await asked.answered

    @property
    def resume_window(self) -> float:
        """See `DeviceConnection.resume_window`."""
        return self._resume_window

    @resume_window.setter
    def resume_window(self, seconds: float) -> None:
        self._resume_window = self._owner.bound_window(seconds)

    def _take(self, message: PeerRequest) -> bool:
        """Handle a message after the earlier ones. Returns whether it was accepted.

        It is not accepted while the node drains, and nothing has been promised for it.
        """
        if self.is_closing or self._owner.is_draining:
            return False
        if self._requests is None:
            self._requests = RequestQueue(self, self._owner)
        self._requests.put(message)
        if self._requests.is_full:
            self.wire.pause_reading()
        return True

    async def earlier_answered(self) -> None:
        """Wait for the answers to the messages before the one that is being handled."""
        if self._requests is not None:
            await self._requests.alone()

    def answered(self) -> None:
        """Record that a message was handled. To be called by the request queue only."""
        assert self._requests is not None
        if not self._requests.is_full:
            self.wire.resume_reading()
        if self._requests.is_idle:
            self._requests = None

    def closed_by_peer(self) -> None:
        """Handle a closing handshake or a protocol error of the peer: nothing more is sent."""
        if self.is_closing:
            return
        self._begin_closing()
        self._patience = self._now() + self._owner.settings.close_timeout
        self._owner.released(self)
        self._schedule()

    def lost(self) -> None:
        """Handle that the connection is gone. The last call that the wire makes."""
        if self._is_lost:
            return
        self._is_lost = True
        self._schedule()
        if not self.is_closing:
            self._was_cut_off = True
            self._begin_closing()
            self._forget_waiting()
            self._owner.released(self)
        self._owner.gone(self)

    @property
    def certain_until(self) -> float | None:
        """The loop's time of the last sign of life, if later frames may not have arrived.

        This is so when the connection was lost without a closing handshake; otherwise None.
        """
        return self._last_heard if self._was_cut_off and self.wire.answers_pings else None

    def _forget_waiting(self) -> None:
        if self._requests is not None:
            self._requests.clear()

    # Time limits

    def registered(self, expires: float) -> None:
        """Record that the connection holds a device, until the loop's time `expires`."""
        if not self.is_closing:
            self._patience = inf
            self.expires = expires
            self._schedule()

    def await_first_frame(self) -> None:
        """Give the device some time to ask for its kept subscriptions."""
        self.awaits_first_frame = True
        self._patience = self._now() + self._owner.settings.resume_grace
        self._schedule()

    def expect_first_frame_soon(self) -> None:
        """Shorten the wait for a ``resume``: a device that does other things will not resume."""
        if self.awaits_first_frame and not self.is_closing:
            self._patience = min(self._patience, self._now() + _SOON)
            self._schedule()

    def on_deadline(self, now: float) -> float:
        """Close, drop or ping the peer, or start without the kept subscriptions, as is due."""
        if self.is_closing:
            if now >= self._patience:
                self._abort()
            return self._next_deadline()
        if now >= self.expires:
            self.expire()
        elif now >= self._patience:
            self._patience = inf
            if self.claims is None:
                limit = self._owner.settings.register_timeout
                self.close(CloseCode.POLICY, f"no register frame within {limit:g} s")
            else:
                self._owner.gave_up_resuming(self)
        else:
            self._check_life(now)
        return self._next_deadline()

    def _check_life(self, now: float) -> None:
        if self.wire.answers_pings and now >= self._silent_from():
            self._abort()
        elif self.wire.wants_pings and now >= self._next_ping:
            self._next_ping = now + (self.wire.ping_interval or self._owner.settings.ping_interval)
            self.wire.ping()

    def _abort(self) -> None:
        self.wire.abort()
        self.lost()

    def _next_deadline(self) -> float:
        if self._is_lost:
            return inf
        if self.is_closing:
            return self._patience
        due = min(self._patience, self.expires)
        if self.wire.wants_pings:
            due = min(due, self._next_ping)
        if self.wire.answers_pings:
            due = min(due, self._silent_from())
        return due

    def _silent_from(self) -> float:
        """The time at which the peer counts as gone. The deadline and its check both use it."""
        return self._last_heard + self._owner.settings.ping_timeout

    def _schedule(self) -> None:
        self._owner.deadlines.set(self, self._next_deadline())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
