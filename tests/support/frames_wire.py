"""A device's connection without a socket: it keeps the frames that it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nexxus.interfaces.transport import Framing, ServerFrame, Wire


class Lines(Framing):
    def frame(self, frame: ServerFrame) -> bytes:
        return b'{"event": "%b", "data": %b}\n' % (frame.event.encode(), frame.data)


class Frames(Wire):
    """Keeps what a device is sent."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.on_close: Callable[[], None] = lambda: None

    def write(self, frames: bytes) -> bool:
        self.frames += map(json.loads, frames.splitlines())
        return True

    def close(self, code: int, reason: str) -> None:
        self.on_close()

    def abort(self) -> None:
        self.on_close()

    def named(self, event: str) -> list[Any]:
        return [frame["data"] for frame in self.frames if frame["event"] == event]

    def denied(self) -> set[str]:
        """The ids of what may not be seen any more."""
        gone = self.named("model_deleted")
        return {each["model"]["id"] for each in gone if each["reason"] == "denied"}
