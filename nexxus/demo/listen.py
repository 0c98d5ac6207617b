"""Subscribes to the demo's flights over the WebSocket, to show the first events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from websockets.asyncio.client import connect

from nexxus.demo.application import APP_ID
from nexxus.demo.replay import open_http


async def events(api_url: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events of all flights from now on, as they are on the wire.

    Ends when the server closes the connection normally. Raises `httpx2.HTTPError`, `OSError` or
    `websockets.exceptions.WebSocketException` if the server cannot be reached or disappears.
    """
    async with open_http(api_url) as http:
        answer = await http.post(
            "/device/register", json={"name": "terminal"}, headers={"nxx-app-id": APP_ID}
        )
        answer.raise_for_status()
    address = f"ws{api_url.removeprefix('http')}/ws"
    async with connect(address, proxy=None, max_size=None) as socket:

        async def send(frame: dict[str, Any]) -> None:
            await socket.send(msgspec.json.encode(frame), text=True)

        await send({"event": "register", "data": {"token": answer.json()["token"]}})
        await send({"event": "subscribe", "ref": "all", "data": {"model": "flight"}})
        async for message in socket:
            frame = msgspec.json.decode(message)
            if frame["event"].startswith("model_"):
                yield frame
