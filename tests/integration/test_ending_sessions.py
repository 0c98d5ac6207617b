"""Sessions that end while a node cannot be told: whoever asks for it again completes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from waiting import eventually

from nexxus import Config, Nexxus
from nexxus.cluster.messages import SessionEnded
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Mailbox
from nexxus.interfaces.transport import CloseCode, Framing, ServerFrame, Wire

APP = "signed"
ADMIN = {"authorization": "Bearer an-admin-key-for-tests-only"}
CREDENTIALS = {"username": "ann", "password": "correct horse"}
APPLICATION: dict[str, Any] = {
    "id": APP,
    "auth": {"strategies": {"local": {}}, "userTypes": {"default": {}, "staff": {}}},
    "schema": {"task": {"title": {"type": "string"}}},
}

sessions = pytest.mark.contract("3. Sessions, users, devices")


class Lines(Framing):
    def frame(self, frame: ServerFrame) -> bytes:
        return b'{"event": "%b", "data": %b}\n' % (frame.event.encode(), frame.data)


class Peer(Wire):
    """A device's connection; `code` is what it was closed with."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.on_close: Callable[[], None] = lambda: None

    def write(self, frames: bytes) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        self.code = code
        self.on_close()

    def abort(self) -> None:
        self.on_close()


class SignedIn:
    """A device with a session, a connection and a subscription."""

    def __init__(self, session: dict[str, Any], peer: Peer) -> None:
        self.device_id: str = session["device"]["id"]
        self.refresh_token = session["refreshToken"]
        self.headers = {"authorization": f"Bearer {session['token']}"}
        self.peer = peer


class World:
    """A server whose nodes cannot be told of ended sessions while `is_mute`."""

    def __init__(
        self, nexxus: Nexxus, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.nexxus = nexxus
        self.http = http
        self.is_mute = False
        self._send = nexxus.broker.send
        monkeypatch.setattr(nexxus.broker, "send", self._send_unless_mute)

    async def _send_unless_mute(self, mailbox: Mailbox[Any], messages: list[Any]) -> None:
        if self.is_mute and any(isinstance(each, SessionEnded) for each in messages):
            raise ServiceUnavailable("the broker is away")
        await self._send(mailbox, messages)

    async def sign_in(self, path: str = "/auth/local", **more: Any) -> SignedIn:
        answer = await self.http.post(path, json={**CREDENTIALS, **more})
        assert answer.status_code == 200, answer.text
        peer = Peer()
        connection = self.nexxus.transports.gateways["websockets"].accept(peer, Lines())
        peer.on_close = connection.lost
        await connection.request("register", {"token": answer.json()["token"]})
        signed_in = SignedIn(answer.json(), peer)
        subscribed = await self.http.post(
            "/subscription/", json={"model": "task"}, headers=signed_in.headers
        )
        assert subscribed.status_code == 200, subscribed.text
        return signed_in

    async def user_id(self) -> str:
        (user,) = (await self._admin("GET", "")).json()["data"]["items"]
        return user["id"]  # type: ignore[no-any-return]

    async def administer(self, user_id: str, **change: Any) -> httpx2.Response:
        return await self._admin("PUT", f"/{user_id}", json=change)

    async def delete(self, user_id: str) -> httpx2.Response:
        return await self._admin("DELETE", f"/{user_id}")

    async def _admin(self, method: str, path: str, **more: Any) -> httpx2.Response:
        url = f"/admin/applications/{APP}/users{path}"
        return await self.http.request(method, url, headers=ADMIN, **more)

    async def is_over(self, device: SignedIn) -> None:
        """The device's session is over with all that it had."""
        await eventually(lambda: device.peer.code == CloseCode.LOGGED_OUT)
        assert (await self.http.get("/device", headers=device.headers)).status_code == 401
        assert await self.nexxus.registry.subscriptions.of_device(APP, device.device_id) == []
        assert await self.nexxus.registry.presence.get(APP, device.device_id) is None


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    settings = {
        "server": {"data_dir": str(tmp_path)},
        "admin": {"key": ADMIN["authorization"].removeprefix("Bearer ")},
        "auth": {"time_cost": 1, "memory_cost": 8},
        "logger": {"level": "critical"},
        "applications": [APPLICATION],
    }
    async with (
        Nexxus(Config.from_mapping(settings)) as nexxus,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(nexxus.app),
            base_url="http://nexxus",
            headers={"nxx-app-id": APP},
        ) as http,
    ):
        yield World(nexxus, http, monkeypatch)


@sessions
async def test_a_logout_that_could_not_reach_the_node_is_completed_by_the_next(
    world: World,
) -> None:
    device = await world.sign_in("/user/register")
    world.is_mute = True

    failed = await world.http.post("/auth/logout", json={"refreshToken": device.refresh_token})

    assert failed.status_code == 503
    assert (await world.http.get("/device", headers=device.headers)).status_code == 401
    refreshed = await world.http.post("/auth/refresh", json={"refreshToken": device.refresh_token})
    assert refreshed.status_code == 503, "it ends the session, too"

    world.is_mute = False
    again = await world.http.post("/auth/logout", json={"refreshToken": device.refresh_token})
    assert again.status_code == 200
    await world.is_over(device)


@sessions
async def test_a_refresh_of_a_session_that_is_ending_completes_its_end(world: World) -> None:
    device = await world.sign_in("/user/register")
    world.is_mute = True
    await world.http.post("/auth/logout", json={"refreshToken": device.refresh_token})
    world.is_mute = False

    refreshed = await world.http.post("/auth/refresh", json={"refreshToken": device.refresh_token})

    assert refreshed.json()["error"] == "InvalidRefreshTokenException"
    await world.is_over(device)


@sessions
async def test_a_stolen_sessions_end_is_completed_by_the_next_use_of_the_token(
    world: World,
) -> None:
    device = await world.sign_in("/user/register")
    refresh = {"refreshToken": device.refresh_token}
    first = (await world.http.post("/auth/refresh", json=refresh)).json()
    second = await world.http.post("/auth/refresh", json={"refreshToken": first["refreshToken"]})
    assert second.status_code == 200
    world.is_mute = True
    assert (await world.http.post("/auth/refresh", json=refresh)).status_code == 503
    world.is_mute = False

    assert (await world.http.post("/auth/refresh", json=refresh)).status_code == 401
    await world.is_over(device)


@sessions
async def test_a_login_on_the_same_device_ends_the_former_session_at_last(world: World) -> None:
    device = await world.sign_in("/user/register")
    body = {**CREDENTIALS, "device": {"id": device.device_id}}
    world.is_mute = True
    assert (await world.http.post("/auth/local", json=body)).status_code == 503
    world.is_mute = False

    answer = await world.http.post("/auth/local", json=body)

    assert answer.json()["device"]["id"] == device.device_id
    await world.is_over(device)


@sessions
@pytest.mark.parametrize("change", [{"disabled": True}, {"userType": "staff"}])
async def test_what_an_administrator_changed_ends_all_sessions_at_the_second_try_at_the_latest(
    world: World, change: dict[str, Any]
) -> None:
    devices = [await world.sign_in("/user/register"), await world.sign_in()]
    user_id = await world.user_id()
    world.is_mute = True

    assert (await world.administer(user_id, **change)).status_code == 503
    for device in devices:
        assert (await world.http.get("/device", headers=device.headers)).status_code == 401

    world.is_mute = False
    assert (await world.administer(user_id, **change)).status_code == 200
    for device in devices:
        await world.is_over(device)


@sessions
async def test_what_an_administrator_leaves_as_it_is_ends_no_session(world: World) -> None:
    await world.sign_in("/user/register")
    user_id = await world.user_id()
    assert (await world.administer(user_id, userType="staff")).status_code == 200
    device = await world.sign_in()

    for change in ({}, {"userType": "staff"}, {"disabled": False}):
        assert (await world.administer(user_id, **change)).status_code == 200

    assert (await world.http.get("/device", headers=device.headers)).status_code == 200
    assert device.peer.code is None


@sessions
async def test_deleting_a_user_can_be_repeated_until_nothing_is_left(world: World) -> None:
    devices = [await world.sign_in("/user/register"), await world.sign_in()]
    user_id = await world.user_id()
    world.is_mute = True
    assert (await world.delete(user_id)).status_code == 503
    refused = await world.http.post("/auth/local", json=CREDENTIALS)
    assert refused.json()["error"] == "UserAuthenticationFailedException"
    world.is_mute = False

    assert (await world.delete(user_id)).status_code == 200

    for device in devices:
        await world.is_over(device)
    assert await world.nexxus.registry.devices.of_user(APP, user_id) == []
    assert (await world.delete(user_id)).status_code == 404
    assert (await world.http.post("/user/register", json=CREDENTIALS)).status_code == 200
