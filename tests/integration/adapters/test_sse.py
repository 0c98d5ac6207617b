"""Contract §11.1: server-sent events, from the request to the last event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from event_source import EventSource, Refused
from waiting import eventually

from nexxus.cluster.messages import ConnectionReplaced
from nexxus.config import Config
from nexxus.errors import ServiceUnavailable
from nexxus.server import Nexxus
from nexxus.testing.transport_port import Server, serving

contract = partial(pytest.mark.contract, "11. Transports")

ADMIN_KEY = "an-admin-key-for-tests-only-0123456789"
APPLICATION: dict[str, Any] = {
    "id": "open",
    "session": {"jwtExpiresIn": 3600},
    "schema": {
        "task": {"title": {"type": "string", "filterable": True}, "text": {"type": "string"}}
    },
}


class Device:
    """A device of the application, over HTTP and server-sent events."""

    def __init__(self, site: Site, session: dict[str, Any]) -> None:
        self.site = site
        self.token: str = session["token"]
        self.refresh_token: str = session["refreshToken"]
        self.headers = {"nxx-app-id": "open", "authorization": f"Bearer {self.token}"}

    async def ticket(self) -> str:
        answer = await self.site.http.post("/auth/ticket", headers=self.headers)
        return answer.json()["ticket"]  # type: ignore[no-any-return]

    async def follow(self, **options: Any) -> EventSource:
        """A stream by the token; `last` is the id of the last event of a former one."""
        headers = dict(self.headers)
        if "last" in options:
            headers["last-event-id"] = options.pop("last")
        source = await EventSource.open(self.site.port, options, headers)
        self.site.sources.append(source)
        return source

    async def subscribe(self, **descriptor: Any) -> Any:
        body = {"model": "task", **descriptor}
        answer = await self.site.http.post("/subscription/", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def log_out(self) -> None:
        body = {"refreshToken": self.refresh_token}
        await self.site.http.post("/auth/logout", json=body, headers=self.headers)


class Site:
    """A whole server on a port of ours."""

    def __init__(self, nexxus: Nexxus, port: int) -> None:
        self.nexxus = nexxus
        self.port = port
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self.sources: list[EventSource] = []

    async def device(self) -> Device:
        answer = await self.http.post(
            "/device/register", json={"name": "d"}, headers={"nxx-app-id": "open"}
        )
        return Device(self, answer.json())

    async def write(self, id: str, **fields: Any) -> None:
        answer = await self.http.post(
            "/model/task",
            json={"id": id, **fields},
            headers={"nxx-app-id": "open", "prefer": "wait=10"},
        )
        assert answer.status_code == 201, answer.text

    @property
    def connections(self) -> int:
        return self.nexxus.transports.gateways["sse"].counters.connections


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(
        *, server: Server = "ours", application: Any = APPLICATION, **sections: Any
    ) -> AsyncIterator[Site]:
        settings = {
            "server": {"data_dir": str(tmp_path)},
            "admin": {"key": ADMIN_KEY},
            "logger": {"level": "critical"},
            "applications": [application],
            **sections,
        }
        async with (
            Nexxus(Config.from_mapping(settings)) as nexxus,
            serving(nexxus.app, server=server) as port,
        ):
            site = Site(nexxus, port)
            yield site
            await nexxus.drain()
            for source in site.sources:
                await source.close()
            await site.http.aclose()

    return started


@pytest.fixture
async def site(start: Start) -> AsyncIterator[Site]:
    async with start() as site:
        yield site


async def refused(opening: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await opening
    return caught.value


# Opening


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


async def test_only_get_is_known(site: Site) -> None:
    device = await site.device()
    answer = await site.http.post("/sse", headers=device.headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


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


# Events


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


# Coming back


@contract("Last-Event-ID and ?cursor= resume")
@pytest.mark.parametrize("how", ["last", "cursor"])
async def test_what_was_missed_comes_in_order(site: Site, how: str) -> None:
    device = await site.device()
    source = await device.follow()
    await device.subscribe()
    await site.write("t1", title="x")
    last = (await source.until("model_created")).id
    source.vanish()
    await eventually(lambda: site.connections == 0)
    for number in (2, 3):
        await site.write(f"t{number}", title="x")

    again = await device.follow(**{how: last})

    events = [await again.next() for _ in range(4)]
    assert [event.name for event in events] == [
        "register",
        "model_created",
        "model_created",
        "resume",
    ]
    assert [event.data["model"]["id"] for event in events[1:3]] == ["t2", "t3"]
    # Who loses the stream before the first of them comes again from where it was.
    assert events[0].id == ""


@contract("Last-Event-ID and ?cursor= resume")
async def test_an_unknown_cursor_means_to_read_anew_and_subscribe_brings_the_page(
    site: Site,
) -> None:
    device = await site.device()
    source = await device.follow(subscribe='{"model":"task"}')
    await source.until("subscribed")
    source.vanish()
    await eventually(lambda: site.connections == 0)

    again = await device.follow(last="nobody:knows-1", subscribe='{"model":"task"}')

    assert (await again.until("resync")).data["channels"]
    assert (await again.until("subscribed")).data["items"] == []


async def test_what_was_missed_fits_a_stream_that_begins_late(start: Start) -> None:
    async with start(gateway={"send_buffer": 64 * 1024}) as site:
        device = await site.device()
        source = await device.follow()
        await device.subscribe()
        last = (await source.next()).id
        source.vanish()
        await eventually(lambda: site.connections == 0)
        for number in range(10):
            await site.write(f"t{number}", text="x" * 30_000)

        again = await device.follow(last=last)

        assert [(await again.next()).name for _ in range(12)][1:-1] == ["model_created"] * 10


# Ends


@contract("after 4001, 4002 and 4003 a reconnect is answered with 204")
async def test_a_session_that_ends_stops_its_client(site: Site) -> None:
    device = await site.device()
    source = await device.follow()
    before = (await source.next()).id

    await device.log_out()

    close = await source.until("close")
    assert close.data == {"code": 4001, "reason": "logged_out"}
    await source.ended()
    for last in (close.id, before):
        assert (await refused(device.follow(last=last))).status == 204
    assert (await refused(device.follow())).status == 401


@contract("after 4001, 4002 and 4003 a reconnect is answered with 204")
async def test_a_token_that_expires_stops_its_client(start: Start) -> None:
    application = {**APPLICATION, "session": {"jwtExpiresIn": 2}}
    async with start(application=application) as site:
        device = await site.device()
        source = await device.follow()
        before = (await source.next()).id

        close = await source.until("close")

        assert close.data == {"code": 4002, "reason": "token_expired"}
        await source.ended()
        for last in (close.id, before):
            assert (await refused(device.follow(last=last))).status == 204
        error = await refused(device.follow())
        assert (error.status, error.body["error"]) == (401, "UserTokenExpiredException")


@contract("after 4001, 4002 and 4003 a reconnect is answered with 204")
async def test_who_was_replaced_does_not_fight_for_the_device(site: Site) -> None:
    device = await site.device()
    first = await device.follow()
    before = (await first.next()).id

    second = await device.follow()

    close = await first.until("close")
    assert close.data == {"code": 4003, "reason": "replaced"}
    for last in (close.id, before):
        assert (await refused(device.follow(last=last))).status == 204
    await device.subscribe()
    await site.write("t1", title="x")
    event = await second.until("model_created")
    second.vanish()
    await eventually(lambda: site.connections == 0)
    again = await device.follow(last=event.id)
    await again.until("resume")


@contract("after 4001, 4002 and 4003 a reconnect is answered with 204")
async def test_who_was_replaced_elsewhere_is_stopped_by_the_last_events_id(site: Site) -> None:
    device = await site.device()
    source = await device.follow()
    known = (await site.http.get("/device", headers=device.headers)).json()
    presence = await site.nexxus.registry.presence.get("open", known["id"])
    assert presence is not None

    gateway = site.nexxus.transports.gateways["sse"]
    gateway._close_replaced(ConnectionReplaced("open", known["id"], presence.connection_id))

    close = await source.until("close")
    assert (await refused(device.follow(last=close.id))).status == 204


@contract("a used ticket stops a client that comes back without its browser's cookie")
async def test_a_used_ticket_works_again_for_its_own_browser_alone(site: Site) -> None:
    device = await site.device()
    ticket = await device.ticket()
    source = await EventSource.open(site.port, {"ticket": ticket})
    cookie = source.headers["set-cookie"].partition(";")[0]
    await device.subscribe()
    await site.write("t1", title="x")
    last = (await source.until("model_created")).id
    source.vanish()
    await eventually(lambda: site.connections == 0)

    back = {"last-event-id": last}
    assert (await refused(EventSource.open(site.port, {"ticket": ticket}, back))).status == 204
    again = await EventSource.open(site.port, {"ticket": ticket}, {**back, "cookie": cookie})

    await again.until("resume")
    await device.log_out()
    close = await again.until("close")
    assert close.data["code"] == 4001
    with_cookie = {"last-event-id": last, "cookie": cookie}
    stopped = EventSource.open(site.port, {"ticket": ticket}, with_cookie)
    assert (await refused(stopped)).status == 204


@contract("a close is an event")
async def test_a_node_that_drains_says_so_and_lets_its_clients_come_back(site: Site) -> None:
    device = await site.device()
    source = await device.follow()
    cursor = (await source.next()).id

    draining = asyncio.create_task(site.nexxus.drain())
    close = await source.until("close")

    assert close.data == {"code": 1001, "reason": "going away"}
    assert close.id == cursor
    await source.ended()
    await draining
    assert (await refused(device.follow())).status == 503
    postponed = await device.follow(last=cursor)
    assert (await postponed.next()).data["code"] == 1001
    assert postponed.retry == 5000
    await postponed.ended()


async def test_a_registry_that_is_away_postpones_who_comes_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await site.device()
    source = await device.follow()
    cursor = (await source.next()).id
    source.vanish()
    await eventually(lambda: site.connections == 0)

    async def fail(*_: Any) -> Any:
        raise ServiceUnavailable("the registry is away")

    monkeypatch.setattr(site.nexxus.registry.presence, "connect", fail)

    assert (await (await device.follow(last=cursor)).until("close")).data["code"] == 1001
    assert (await refused(device.follow())).status == 503
    assert site.connections == 0


@contract("a slow consumer is dropped alone")
async def test_who_does_not_read_is_dropped_and_may_resume(start: Start) -> None:
    async with start(gateway={"send_buffer": 64 * 1024, "resume_bytes": 100_000_000}) as site:
        slow, other = await site.device(), await site.device()
        sources = [await device.follow() for device in (slow, other)]
        for device in (slow, other):
            await device.subscribe()
        await site.write("t0", text="x")
        last = (await sources[0].until("model_created")).id
        sources[0].stop_reading()

        written = 0
        async with asyncio.timeout(60):
            while site.connections == 2:
                written += 1
                await site.write(f"t{written}", text="x" * 200_000)
                while (await sources[1].until("model_created")).data["model"][
                    "id"
                ] != f"t{written}":
                    pass

        gateway = site.nexxus.transports.gateways["sse"]
        assert gateway.counters.slow_consumers == 1
        again = await slow.follow(last=last)
        missed = 0
        while (await again.next()).name != "resume":
            missed += 1
        assert missed == written + 1  # register, and every event


# Many


async def test_a_thousand_streams_get_the_same_events(site: Site) -> None:
    registry, gateway = site.nexxus.registry, site.nexxus.transports.gateways["sse"]
    devices = [await site.device() for _ in range(1000)]
    streams: list[EventSource] = []
    for start in range(0, len(devices), 100):
        some = devices[start : start + 100]
        streams += await asyncio.gather(
            *(each.follow(subscribe='{"model":"task"}') for each in some)
        )
    await asyncio.gather(*(stream.until("subscribed") for stream in streams))
    assert site.connections == 1000

    for number in range(3):
        await site.write(f"t{number}", title="x")

    async def seen(stream: EventSource) -> list[Any]:
        return [(await stream.until("model_created")).data["model"]["id"] for _ in range(3)]

    every = await asyncio.gather(*map(seen, streams))
    assert every == [["t0", "t1", "t2"]] * 1000
    assert registry is not None
    assert gateway.counters.slow_consumers == 0
