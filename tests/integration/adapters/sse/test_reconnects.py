"""Contract §11.1: what a client of server-sent events meets that comes back."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from event_source import EventSource, Refused
from sse_site import Site, Start
from waiting import eventually

from nexxus.cluster.messages import ConnectionReplaced
from nexxus.errors import ServiceUnavailable

contract = partial(pytest.mark.contract, "11. Transports")


async def refused(opening: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await opening
    return caught.value


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
