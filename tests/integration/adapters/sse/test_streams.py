"""Contract §11.1: server-sent events, from the request to the last event."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from event_source import EventSource, Refused
from sse_site import Site, Start
from waiting import eventually

contract = partial(pytest.mark.contract, "11. Transports")


async def refused(opening: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await opening
    return caught.value


@contract("registers the token's device")
async def test_a_stream_registers_the_device_and_shows_it_online(site: Site) -> None:
    device = await site.device()
    source = await device.follow()

    event = await source.next()

    assert event.name == "register"
    assert event.data["success"] is True
    assert event.id == event.data["cursor"]
    known = (await site.http.get("/device", headers=device.headers)).json()
    assert (known["status"], known["transport"]) == ("online", "sse")


@contract("what intermediaries are told")
async def test_the_answer_is_kept_by_no_cache_and_no_buffer(site: Site) -> None:
    source = await (await site.device()).follow()

    headers = source.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["connection"] == "close"
    assert "transfer-encoding" not in headers
    assert headers["x-request-id"]


@contract("by a ticket")
async def test_a_ticket_stands_for_token_and_application_once(site: Site) -> None:
    ticket = await (await site.device()).ticket()

    source = await EventSource.open(site.port, {"ticket": ticket})
    assert (await source.next()).name == "register"
    error = await refused(EventSource.open(site.port, {"ticket": ticket}))

    assert (error.status, error.body["error"]) == (401, "UserAuthenticationFailedException")
    await source.close()


@contract("what is refused has its status")
@pytest.mark.parametrize(
    ("query", "headers", "status", "name"),
    [
        ({}, {"nxx-app-id": "open"}, 401, "NoAuthPresentException"),
        ({}, {}, 400, "InvalidParametersException"),
        ({"ticket": "x"}, {}, 401, "UserAuthenticationFailedException"),
        ({"subscribe": "{"}, {}, 400, "InvalidParametersException"),
        ({"subscribe": "[1]"}, {}, 400, "InvalidParametersException"),
        ({"subscribe": "[" * 100_000}, {}, 400, "InvalidParametersException"),
    ],
)
async def test_what_is_wrong_with_the_request_is_answered_at_once(
    site: Site, query: Any, headers: Any, status: int, name: str
) -> None:
    error = await refused(EventSource.open(site.port, query, headers))

    assert (error.status, error.body["error"]) == (status, name)
    assert site.connections == 0


async def test_a_session_that_ends_while_it_registers_is_refused_with_its_status(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await site.device()
    registry = site.nexxus.registry.presence
    connect = registry.connect

    async def connect_late(presence: Any) -> Any:
        former = await connect(presence)
        await device.log_out()
        return former

    monkeypatch.setattr(registry, "connect", connect_late)
    error = await refused(device.follow())

    assert (error.status, error.body["error"]) == (401, "UserTokenExpiredException")
    await eventually(lambda: site.connections == 0)


async def test_a_client_that_leaves_while_it_registers_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await site.device()
    registry = site.nexxus.registry.presence
    connect = registry.connect
    came, may_go_on = asyncio.Event(), asyncio.Event()

    async def connect_slowly(presence: Any) -> Any:
        came.set()
        await may_go_on.wait()
        return await connect(presence)

    monkeypatch.setattr(registry, "connect", connect_slowly)
    opening = asyncio.create_task(device.follow())
    await came.wait()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    may_go_on.set()

    await eventually(lambda: site.connections == 0)


@contract("frames are events")
async def test_a_subscription_over_http_is_followed_on_the_stream(site: Site) -> None:
    device = await site.device()
    source = await device.follow()
    channel = (await device.subscribe())["channelId"]

    await site.write("t1", title="new\nline")

    event = await source.until("model_created")
    assert event.data["model"]["title"] == "new\nline"
    assert event.data["metadata"]["channels"] == [channel]
    assert event.id == event.data["metadata"]["cursor"]


@contract("subscribe= answers with the page")
async def test_subscriptions_of_the_request_are_answered_by_events(site: Site) -> None:
    await site.write("t1", title="a")
    await site.write("t2", title="b")
    device = await site.device()
    descriptors = [{"model": "task", "filter": {"title": "a"}}, {"model": "task", "limit": 1}]

    source = await device.follow(subscribe=[json.dumps(each) for each in descriptors])

    first, second = await source.until("subscribed"), await source.until("subscribed")
    assert [item["id"] for item in first.data["items"]] == ["t1"]
    assert len(second.data["items"]) == 1
    await site.write("t3", title="a")
    event = await source.until("model_created")
    channels = {first.data["channelId"], second.data["channelId"]}
    assert set(event.data["metadata"]["channels"]) == channels


@contract("subscribe= answers with the page")
async def test_a_subscription_that_is_refused_is_an_error_and_the_stream_goes_on(
    site: Site,
) -> None:
    device = await site.device()
    wrong = {"model": "nothing"}
    source = await device.follow(subscribe=[json.dumps(wrong), '{"model":"task"}'])

    error = await source.until("error")
    assert error.data["code"] == "INVALID_PARAMETERS"
    assert error.data["error"]["error"] == "ModelNotFoundException"
    assert error.data["subscribe"] == wrong
    assert (await source.until("subscribed")).data["items"] == []


@contract("a comment shows life")
async def test_comments_come_as_often_as_configured(start: Start) -> None:
    async with start(plugins={"sse": {"comment_interval": 0.05}}) as site:
        source = await (await site.device()).follow()
        reading = asyncio.create_task(source.next_forever())

        await eventually(lambda: source.comments >= 3)

        reading.cancel()
