"""Contract §1 and §6: limits that are set, resume windows and slow consumers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, assert_error
from connection import Connection
from documents import open_application
from server import Server
from waiting import eventually
from websockets.exceptions import InvalidStatus

contract = partial(pytest.mark.contract, "10. The process")


@contract("limits are configurable")
async def test_limits_may_be_lowered(start: Callable[..., Server]) -> None:
    server = start(
        "--set=limits.body=2000",
        "--set=limits.object=1000",
        "--set=limits.frame=2000",
        "--set=limits.depth=5",
        "--set=limits.filter_conditions=2",
        "--set=limits.subscriptions=2",
        "--set=limits.sign_in_attempts=1",
    ).start()
    admin = Admin(server.endpoint)
    small = open_application(schema={"note": {"text": {"type": "string", "filterable": True}}})
    app = admin.http.post("/applications", json=small).json()["data"]
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        large = await client.send("POST", "/model/note", {"text": "x" * 2000})
        assert_error(large, 413, "PayloadTooLargeException")
        await client.refused(
            "POST",
            "/model/note",
            {"text": "x" * 900},
            "limits.object",
            status=413,
            error="PayloadTooLargeException",
        )
        wide = {"$or": [{"text": word} for word in ("a", "b")] + [{"text": {"ne": "c"}}]}
        await client.refused("POST", "/model/note/search", {"filter": wide})
        deep: Any = {"text": "a"}
        for _ in range(6):
            deep = {"$not": deep}
        await client.refused("POST", "/model/note/search", {"filter": deep})
        for word in ("a", "b"):
            await client.subscribe("note", filter={"text": word})
        await client.refused("POST", "/subscription/", {"model": "note"})
        await client.socket.send_raw(json.dumps({"event": "register", "data": "x" * 2000}))
        assert await client.socket.wait_closed() == 1009
    admin.close()


@contract("limits are configurable")
async def test_requests_may_be_limited_per_second(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=5").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)
        answers = await asyncio.gather(*(client.send("GET", "/device") for _ in range(60)))

        limited = [answer for answer in answers if answer.status_code == 429]
        assert limited
        assert_error(limited[0], 429, "TooManyRequestsException")
        assert int(limited[0].headers["retry-after"]) >= 1
        assert any(answer.status_code == 200 for answer in answers)
    admin.close()


@contract("limits are configurable")
async def test_frames_count_as_requests_of_their_device(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=5").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)
        await client.connect()
        subscribing = {"model": "note", "limit": 1}
        replies = await asyncio.gather(
            *(client.socket.request("subscribe", subscribing) for _ in range(30))
        )

        assert {reply["status"] for reply in replies} == {200, 429}
        limited = next(reply for reply in replies if reply["status"] == 429)
        assert limited["error"]["error"] == "TooManyRequestsException"
        await client.socket.send("refresh_access_token", {"token": client.token})
        error = await client.wait_for("error")
        assert error["data"]["code"] == "RATE_LIMITED"
        assert client.socket.is_open
    admin.close()


@contract("limits are configurable")
async def test_registering_is_one_request(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=1").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)

        async def registers() -> bool:
            try:
                socket = await Connection.open(server.endpoint.ws_url)
            except InvalidStatus:  # the handshake itself is a request of this address
                return False
            await socket.send("register", {"token": client.token})
            answer = await socket.wait_for(lambda f: f["event"] in ("register", "error"))
            await socket.close()
            return bool(answer["event"] == "register")

        await eventually(registers)
    admin.close()


async def eventually_session(client: NexxusClient) -> None:
    async def registered() -> bool:
        response = await client.send("POST", "/device/register", {"name": "x"})
        if response.status_code == 200:
            client.adopt(response.json())
        return response.status_code == 200

    await eventually(registered)


@contract("gateway settings")
async def test_without_a_resume_window_nothing_is_kept(start: Callable[..., Server]) -> None:
    server = start("--set=gateway.resume_window=0").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        view = await client.subscribe("task", limit=100)
        await client.create("task", title="x")
        await client.converged(view)
        client.cursor = client.cursor or "none"
        await client.drop()

        async def gone() -> bool:
            return (await client.ok("GET", "/device"))["subscriptions"] == []

        await eventually(gone)
        await client.connect(resume=True)
        resync = await client.wait_for("resync")
        assert resync["data"]["channels"] == []
        await client.settled()
        await client.create("task", title="y")
        await client.converged(view)
    admin.close()


@contract("gateway settings")
async def test_kept_subscriptions_end_with_the_window(start: Callable[..., Server]) -> None:
    server = start("--set=gateway.resume_window=1").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        view = await client.subscribe("task", limit=100)
        await client.drop()
        device = await client.ok("GET", "/device")
        assert device["status"] == "offline" or device["subscriptions"]

        async def gone() -> bool:
            return (await client.ok("GET", "/device"))["subscriptions"] == []

        await eventually(gone)
        await client.connect(resume=True)
        await client.settled()
        await client.create("task", title="y")
        await client.converged(view)
    admin.close()
