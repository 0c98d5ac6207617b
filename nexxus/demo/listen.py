"""Follows the demonstration's flights over the WebSocket, to show the first events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from nexxus.demo.application import APP_ID
from nexxus.demo.replay import open_http

_KEPT: Final = 256
"""Events kept for a reader that is slower than the show; what comes above that is not shown."""


async def events(api_url: str) -> AsyncGenerator[dict[str, Any], None]:
    """The model events of all flights, from now on, as the wire has them.

    Ends when the server closes the connection. Raises `httpx.HTTPError` or `OSError` when the
    server cannot be reached.
    """
    async with open_http(api_url) as http:
        answer = await http.post(
            "/device/register", json={"name": "terminal"}, headers={"nxx-app-id": APP_ID}
        )
        answer.raise_for_status()
    token = answer.json()["token"]
    transport, listener = await ws_connect(
        lambda: _Listener(token), f"ws{api_url.removeprefix('http')}/ws"
    )
    assert isinstance(listener, _Listener)
    try:
        while (frame := await listener.frames.get()) is not None:
            if frame["event"].startswith("model_"):
                yield frame
    finally:
        transport.disconnect()


class _Listener(WSListener):
    """Registers, subscribes to every flight, and queues what comes."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_KEPT)
        self._token = token

    def on_ws_connected(self, transport: WSTransport) -> None:
        _send(transport, {"event": "register", "data": {"token": self._token}})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        message = msgspec.json.decode(frame.get_payload_as_bytes())
        if message["event"] == "register":
            _send(transport, {"event": "subscribe", "ref": "all", "data": {"model": "flight"}})
        if not self.frames.full():
            self.frames.put_nowait(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        if self.frames.full():
            self.frames.get_nowait()
        self.frames.put_nowait(None)


def _send(transport: WSTransport, frame: dict[str, Any]) -> None:
    transport.send(WSMsgType.TEXT, msgspec.json.encode(frame))
