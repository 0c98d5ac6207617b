"""``nexxus tail``: prints a model's events as they happen, one JSON object per line."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

import click
import msgspec

from nexxus.cli.options import server_options
from nexxus.cli.root import CommandFailed, Misuse
from nexxus.cli.server_client import ServerClient, connect

_REFRESH_AFTER: Final = 600.0
"""Seconds after which our own session is refreshed; tokens are valid for an hour by default."""
_ANSWER_TIMEOUT: Final = 15.0


@click.command()
@click.argument("app_id", metavar="APP")
@click.argument("model", metavar="MODEL")
@click.option("--filter", "filter_", metavar="JSON", help="Only objects that match this filter.")
@click.option("--id", "object_id", metavar="ID", help="Only this object.")
@click.option("--user-id", metavar="ID", help="Only this user's objects.")
@click.option("--token", metavar="TOKEN", help="An access token, if the application has users.")
@click.option("--username", metavar="NAME", help="Sign in as this user instead.")
@click.option("--password", metavar="PASSWORD", help="For --username; prompted for if left out.")
@click.option("--snapshot/--no-snapshot", default=True, help="Print the existing objects first.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Exit after N events.")
@server_options
def tail(
    app_id: str,
    model: str,
    filter_: str | None,
    object_id: str | None,
    user_id: str | None,
    token: str | None,
    username: str | None,
    password: str | None,
    snapshot: bool,
    count: int | None,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Print changes of a model's objects as they happen, until Ctrl-C.

    \b
    nexxus tail tasks task
    nexxus tail tasks task --filter '{"status": "open"}' --username ann
    nexxus tail tasks task --no-snapshot | jq .model.title
    """
    descriptor: dict[str, Any] = {"model": model}
    if object_id is not None:
        descriptor["id"] = object_id
    if user_id is not None:
        descriptor["userId"] = user_id
    if filter_ is not None:
        descriptor["filter"] = _parse_filter(filter_)
    if username is not None and password is None:
        password = click.prompt("Password", hide_input=True, err=True)
    # Ctrl-C is the normal way to end the command, not a failure.
    with suppress(KeyboardInterrupt), connect(url, admin_key, config_file) as server:
        session = _Session(server, app_id)
        session.begin(token, username, password)
        _follow(server, session, descriptor, snapshot, count)


class _Session:
    """The session of a new device, or of the device whose token was given."""

    def __init__(self, server: ServerClient, app_id: str) -> None:
        self._server = server
        self._headers = {"nxx-app-id": app_id}
        self._refresh_token: str | None = None
        self._refresh_at = 0.0
        self.token = ""

    def begin(self, token: str | None, username: str | None, password: str | None) -> None:
        if token is not None:
            self.token = token
            return
        if username is not None:
            answer = self._post("/auth/local", {"username": username, "password": password})
        else:
            answer = self._post("/device/register", {"name": "nexxus tail"})
        self._take(answer)

    @property
    def seconds_to_refresh(self) -> float | None:
        """Seconds until the token should be refreshed; None if a token was given."""
        if self._refresh_token is None:
            return None
        return max(0.0, self._refresh_at - time.monotonic())

    def refresh(self) -> None:
        self._take(self._post("/auth/refresh", {"refreshToken": self._refresh_token}))

    def _take(self, answer: Any) -> None:
        self.token = answer["token"]
        self._refresh_token = answer["refreshToken"]
        self._refresh_at = time.monotonic() + _REFRESH_AFTER

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._server.ask("POST", path, json=body, headers=self._headers)


def _follow(
    server: ServerClient,
    session: _Session,
    descriptor: dict[str, Any],
    snapshot: bool,
    count: int | None,
) -> None:
    """Connect, subscribe, and print until the connection ends or `count` events have arrived."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect as open_websocket

    address = "ws" + server.url.removeprefix("http") + "/ws"
    try:
        with open_websocket(address, max_size=None) as websocket:
            _send(websocket, {"event": "register", "data": {"token": session.token}})
            _await(websocket, "register")
            _send(websocket, {"event": "subscribe", "ref": "tail", "data": descriptor})
            reply, early = _await(websocket, "reply")
            if "error" in reply:
                error = reply["error"]
                raise CommandFailed(f"{error['error']} ({reply['status']}): {error['message']}")
            click.echo(f"following {reply['data']['channelId']}", err=True)
            for item in reply["data"]["items"] if snapshot else ():
                _print({"event": "snapshot", "model": item})
            left = count
            for frame in early:
                left = _print_event(frame, left)
            while left is None or left > 0:
                coming = _next(websocket, session)
                if coming is not None and coming["event"] == "unsubscribed":
                    raise CommandFailed(f"the subscription ended: {coming['data']['message']}")
                if coming is not None:
                    left = _print_event(coming, left)
    except ConnectionClosed as closed:
        raise CommandFailed(f"the server closed the connection: {closed}") from closed
    except (OSError, TimeoutError) as error:
        raise CommandFailed(f"{address} cannot be reached: {error}") from error


def _next(websocket: Any, session: _Session) -> dict[str, Any] | None:
    """Return the next frame, or None if the token was refreshed instead."""
    try:
        return _decode(websocket.recv(timeout=session.seconds_to_refresh))
    except TimeoutError:
        session.refresh()
        _send(websocket, {"event": "refresh_access_token", "data": {"token": session.token}})
        return None


def _await(websocket: Any, event: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the data of the first frame with that event, and the frames before it."""
    early: list[dict[str, Any]] = []
    while True:
        frame = _decode(websocket.recv(timeout=_ANSWER_TIMEOUT))
        if frame["event"] == event:
            return (frame["data"], early)
        if frame["event"] == "error":
            raise CommandFailed(f"{frame['data']['code']}: {frame['data']['message']}")
        early.append(frame)


def _print_event(frame: dict[str, Any], left: int | None) -> int | None:
    """Print a frame if it is a model's event; return how many events are left to print."""
    if frame["event"] == "error":
        raise CommandFailed(f"{frame['data']['code']}: {frame['data']['message']}")
    if not frame["event"].startswith("model_"):
        return left
    _print(frame["data"])
    return None if left is None else left - 1


def _print(value: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(value))


def _send(websocket: Any, frame: dict[str, Any]) -> None:
    websocket.send(msgspec.json.encode(frame).decode())


def _decode(frame: str | bytes) -> dict[str, Any]:
    return msgspec.json.decode(frame, type=dict[str, Any])


def _parse_filter(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Misuse(f"--filter is not valid JSON: {error}") from error
