"""Connections: what is waiting to be sent, what was received, and when patience ends.

An idle connection is one object without a task, a timer or a buffer of its own: there may be
a hundred thousand of them.
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
"""Seconds that a device which subscribes over HTTP has left for its first frame."""


class Owner(Protocol):
    """Whoever decides what a connection's messages mean."""

    settings: GatewaySettings
    deadlines: Deadlines
    collector: FrameCollector
    is_draining: bool

    async def handle(
        self, connection: Connection, message: PeerRequest, pass_on: Callable[[], None]
    ) -> None:
        """Act on one message; the connection's next begins when it is done, or at `pass_on`."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in a task that is waited for in the end."""
        ...

    def released(self, connection: Connection) -> None:
        """The connection carries nothing any more: it is closing, or lost; called once."""
        ...

    def gone(self, connection: Connection) -> None:
        """The connection's socket is closed; the last call."""
        ...

    def gave_up_resuming(self, connection: Connection) -> None:
        """The time for a first frame after ``register`` is over."""
        ...

    def bound_window(self, seconds: float | None) -> float:
        """Return the resume window that a connection gets which asks for `seconds`."""
        ...


class Connection:
    """One peer of a transport. `due` belongs to `Deadlines`, `pending` to the `FrameCollector`.

    `claims` is None until the connection has registered, and `device` once it no longer holds
    one. `expires` is the loop's time from which nothing is sent any more. `awaits_first_frame` is
    true between ``register`` and the frame after it, the only one that may be a ``resume``.
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
        """Send one frame, with whatever else leaves in this turn of the loop."""
        frame = encode_frame(self.framing, event, data, ref=ref, cursor=cursor, channels=channels)
        self.send_bytes(frame)

    def send_error(self, code: str, message: str, **more: Any) -> None:
        """Send an ``error`` frame; the connection stays open."""
        self.send("error", {"code": code, "message": message, **more})

    def send_bytes(self, frame: bytes) -> None:
        """Send an encoded frame, with whatever else leaves in this turn of the loop."""
        if not self.is_closing and frame:
            self._owner.collector.put(self, frame)

    def close(self, code: int, reason: str, *, after_pending: bool = True) -> None:
        """Close with a code; what is pending is sent before, or else forgotten."""
        if self.is_closing:
            return
        if after_pending:
            self._owner.collector.flush_one(self)
            if self.is_closing:
                return
        self._close(code, reason)

    def expire(self) -> None:
        """Close because the token is no longer good; nothing pending is sent."""
        self.close(CloseCode.TOKEN_EXPIRED, "token_expired", after_pending=False)

    def drop_as_slow(self) -> None:
        """Close because the peer does not read what it is sent."""
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
            raise ServiceUnavailable("this connection takes no more requests")
        return await asked.answered

    @property
    def resume_window(self) -> float:
        """See `DeviceConnection.resume_window`."""
        return self._resume_window

    @resume_window.setter
    def resume_window(self, seconds: float) -> None:
        self._resume_window = self._owner.bound_window(seconds)

    def _take(self, message: PeerRequest) -> bool:
        """Handle a message after those before it; whether it was taken.

        While the node drains it is not: nothing has been promised for it yet.
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
        """A message has been dealt with; only its pipeline says so."""
        assert self._requests is not None
        if not self._requests.is_full:
            self.wire.resume_reading()
        if self._requests.is_idle:
            self._requests = None

    def closed_by_peer(self) -> None:
        """The closing handshake is done, or the peer broke the protocol: nothing more is sent."""
        if self.is_closing:
            return
        self._begin_closing()
        self._patience = self._now() + self._owner.settings.close_timeout
        self._owner.released(self)
        self._schedule()

    def lost(self) -> None:
        """The connection is gone; the last call that its wire makes."""
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
        """The loop's time until which the peer was surely there; None if it is not in doubt.

        It is when the connection was lost without a closing handshake: what was sent after the
        last sign of life may not have arrived.
        """
        return self._last_heard if self._was_cut_off and self.wire.answers_pings else None

    def _forget_waiting(self) -> None:
        if self._requests is not None:
            self._requests.clear()

    # When patience ends

    def registered(self, expires: float) -> None:
        """The connection holds a device now, until the loop's time `expires`."""
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
        """Be less patient: the device does other things, as one does that knows of no resuming."""
        if self.awaits_first_frame and not self.is_closing:
            self._patience = min(self._patience, self._now() + _SOON)
            self._schedule()

    def on_deadline(self, now: float) -> float:
        """Do what is due: close, drop, ping, or start without the kept subscriptions."""
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
        """When the peer counts as gone. A deadline and its check must agree to the last bit."""
        return self._last_heard + self._owner.settings.ping_timeout

    def _schedule(self) -> None:
        self._owner.deadlines.set(self, self._next_deadline())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
