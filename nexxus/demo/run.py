"""What ``nexxus serve --demo`` adds to a server: the live board, and an introduction to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import click
import httpx2
from websockets.exceptions import WebSocketException

from nexxus.demo.application import APP_ID, ensure_application
from nexxus.demo.listen import events
from nexxus.demo.replay import RATE, open_http, replay

_FIRST_EVENTS: Final = 8

Echo = Callable[[str], object]


async def run(
    api_url: str,
    admin_key: str,
    *,
    gateway_url: str | None = None,
    rate: float = RATE,
    echo: Echo = click.echo,
) -> None:
    """Run the demo on the server at `api_url` until cancelled.

    Prints the addresses and the first live events, line by line, with `echo`. `gateway_url` is the
    WebSocket address on the gateway's own port, if it has one. The API must already be listening.
    """
    async with open_http(api_url) as http:
        await ensure_application(http, admin_key)
    for line in introduction(api_url, gateway_url):
        echo(line)
    async with asyncio.TaskGroup() as group:
        group.create_task(_show_first_events(api_url, echo))
        group.create_task(replay(api_url, admin_key, rate=rate))


def introduction(api_url: str, gateway_url: str | None) -> list[str]:
    """Return the first lines of output: addresses, and a command to paste."""
    socket = gateway_url or f"ws{api_url.removeprefix('http')}/ws"
    return [
        "",
        "  Nexxus is running the demo: 2,000 real flights in fast motion.",
        "",
        f"    Departures board   {api_url}/demo/",
        f"    API                {api_url}   (application: {APP_ID})",
        f"    WebSocket          {socket}",
        f"    API documentation  {api_url}/docs",
        f"    Dashboard          {api_url}/admin/",
        "",
        "  Paste this to see the longest delays at Chicago O'Hare right now:",
        "",
        f"    {curl_line(api_url)}",
        "",
        "  The first live events:",
        "",
    ]


def curl_line(api_url: str) -> str:
    """Return a search command for any POSIX shell."""
    query = '{"filter": {"origin": "ORD"}, "sort": ["-delay"], "limit": 3}'
    return (
        f"curl -s {api_url}/model/flight/search -H 'nxx-app-id: {APP_ID}' "
        f"-H 'content-type: application/json' -d '{query}'"
    )


async def _show_first_events(api_url: str, echo: Echo) -> None:
    shown = 0
    try:
        async with aclosing(events(api_url)) as stream:
            async for event in stream:
                echo(f"    {describe(event)}")
                shown += 1
                if shown == _FIRST_EVENTS:
                    break
    except (httpx2.HTTPError, OSError, WebSocketException) as error:
        echo(f"    (the events cannot be shown: {error})")
        return
    echo("    … Press Ctrl+C to stop the server.")
    echo("")


def describe(frame: dict[str, Any]) -> str:
    """Return one event as a line of text."""
    data = frame["data"]
    model = data["model"]
    head = f"{frame['event']:<14} {model['id']}"
    if frame["event"] == "model_created":
        at = datetime.fromtimestamp(model["scheduled"], UTC)
        return f"{head}  {model['origin']} → {model['destination']}  {at:%d %b %H:%M}"
    if frame["event"] == "model_updated":
        changes = [
            f"{patch['op']} {path} {value}"
            for patch in data["patches"]
            for path, value in zip(patch["path"], patch.get("value", [""]), strict=False)
            if path != "updatedAt"
        ]
        return f"{head}  {', '.join(changes)}"
    return f"{head}  {data.get('reason', 'deleted')}"
