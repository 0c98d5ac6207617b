"""The way to one peer: frames wait here for the next request that asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from nexxus.domain.identity import Identity
from nexxus.interfaces.transport import DeviceConnection, Wire
from nexxus_polling.settings import PollingSettings

Poll: TypeAlias = "asyncio.Future[bytes]"
"""The body of the answer to a request that waits for frames."""


class PollingWire(Wire):
    """Answers one request at a time, with all frames that are there."""

    connection: DeviceConnection

    def __init__(
        self,
        identity: Identity,
        settings: PollingSettings,
        send_buffer: int,
        *,
        on_end: Callable[[], object],
    ) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._device = (identity.app_id, identity.device_id)
        self._settings = settings
        self._send_buffer = send_buffer
        self._on_end = on_end
        self._waiting = bytearray()
        self._poll: Poll | None = None
        self._is_closing = False
        self._has_ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._wait_for(settings.patience, self.abort)

    # Called by the transport

    def belongs_to(self, identity: Identity) -> bool:
        """Whether a request comes from the device that has connected."""
        return (identity.app_id, identity.device_id) == self._device

    def poll(self) -> Poll:
        """Return what is answered as soon as there is a frame, and with nothing after a while."""
        if self._poll is not None:
            self._answer()
        self._poll = poll = asyncio.get_running_loop().create_future()
        if self._waiting:
            self._answer()
        else:
            self._wait_for(self._settings.wait, self._answer)
        return poll

    # Called by the host

    def write(self, frames: bytes) -> bool:
        if len(self._waiting) + len(frames) > self._send_buffer:
            return False
        self._waiting += frames
        if self._poll is not None:
            self._answer()
        return True

    def close(self, code: int, reason: str) -> None:
        data = {"code": int(code), "reason": reason}
        self._waiting += msgspec.json.encode({"event": "close", "data": data})
        self._is_closing = True
        if self._poll is not None:
            self._answer()

    def abort(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if self._poll is not None:
            self._answer()
        self._wait_for(None)
        self.may_read.set()
        self._on_end()
        self.connection.lost()

    def pause_reading(self) -> None:
        self.may_read.clear()

    def resume_reading(self) -> None:
        self.may_read.set()

    def _answer(self) -> None:
        """Answer the request that waits, with what is there."""
        assert self._poll is not None
        poll, self._poll = self._poll, None
        poll.set_result(b"[%b]" % bytes(self._waiting).removesuffix(b","))
        self._waiting.clear()
        if self._is_closing:
            self.abort()
        else:
            self._wait_for(self._settings.patience, self.abort)

    def _wait_for(self, seconds: float | None, act: Callable[[], None] = lambda: None) -> None:
        """Act after so many seconds, instead of what was waited for until now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, act)
