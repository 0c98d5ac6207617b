"""Subscribing over HTTP: stored in the registry, then served by a node, and only then read."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec import UNSET
from objects_world import (
    ANN,
    DEVICE,
    NODE,
    READER,
    TRANSPORT,
    WITH_USERS,
    ObjectsWorld,
    ids,
)

from nexxus.cluster.messages import SubscriptionChanged
from nexxus.domain.channels import Descriptor, Subscription
from nexxus.domain.identity import Identity
from nexxus.domain.operations import OperationError
from nexxus.errors import (
    AccessDenied,
    DeviceNotConnected,
    InvalidParameters,
    NoAuthPresent,
    NotFound,
    ServiceUnavailable,
)
from nexxus.objects.replies import ChannelPage
from nexxus.objects.requests import SubscribeRequest, UnsubscribeRequest

contract = partial(pytest.mark.contract, "2. Applications and schemas")

CHANNEL = "nxx:subscription:app:task"


async def subscribe(
    world: ObjectsWorld, identity: Identity = DEVICE, model: str = "task", **asked: Any
) -> ChannelPage:
    request = SubscribeRequest(model=model, **asked)
    return await world.device_subscriptions.subscribe(identity, request)


async def unsubscribe(
    world: ObjectsWorld, identity: Identity = DEVICE, model: str = "task", **asked: Any
) -> str:
    request = UnsubscribeRequest(model=model, **asked)
    return (await world.device_subscriptions.unsubscribe(identity, request)).channel


async def held(world: ObjectsWorld, identity: Identity = DEVICE) -> list[Subscription]:
    return await world.registry.subscriptions.of_device("app", identity.device())


@pytest.fixture
async def connected(world: ObjectsWorld) -> ObjectsWorld:
    """An application without users, and a device that this node serves."""
    await world.application()
    await world.connect(DEVICE)
    return world


# Subscribing


async def test_the_page_is_read_after_the_subscription_is_placed_and_served(
    connected: ObjectsWorld,
) -> None:
    await connected.store(*({"id": f"t{number}"} for number in range(3)))
    seen: list[Any] = []
    search = connected.database.search

    async def look_first(query: Any) -> Any:
        seen.append((len(await held(connected)), list(connected.host.adopted)))
        return await search(query)

    connected.database.search = look_first  # type: ignore[method-assign]
    subscribed = await subscribe(connected, limit=2)

    assert subscribed.channel_id == CHANNEL
    assert ids(subscribed.items) == ["t0", "t1"]
    assert subscribed.cursor is not UNSET
    assert seen == [(1, [("phone", CHANNEL)])]
    (placement,) = await connected.registry.subscriptions.placements("app", "phone")
    assert placement.served_by == (TRANSPORT, NODE)
    assert placement.subscription.descriptor == Descriptor("task")


async def test_the_page_is_read_after_another_node_serves_the_subscription(
    world: ObjectsWorld,
) -> None:
    await world.application()
    await world.connect(DEVICE, node="there")
    world.answer_asked()
    await subscribe(world)
    ((mailbox, message),) = world.broker.sent
    assert mailbox == "websockets-transport.there"
    assert isinstance(message, SubscriptionChanged)
    assert (message.device_id, message.channel_id) == ("phone", CHANNEL)
    assert world.host.adopted == []


async def test_a_refusal_by_the_other_node_is_the_response(world: ObjectsWorld) -> None:
    await world.application()
    await world.connect(DEVICE, node="there")
    world.answer_asked(OperationError(DeviceNotConnected.name, "it has gone"))
    with pytest.raises(DeviceNotConnected, match="it has gone"):
        await subscribe(world)


async def test_a_subscription_that_ends_while_it_is_made_is_made_again(
    connected: ObjectsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt = connected.host.adopt
    ends = iter([True, False])

    async def end_with_the_former_connection(app_id: str, device: str, channel: str) -> None:
        if next(ends):
            await connected.registry.subscriptions.remove(app_id, device, [channel])
            raise DeviceNotConnected("it has ended")
        await adopt(app_id, device, channel)

    monkeypatch.setattr(connected.host, "adopt", end_with_the_former_connection)
    subscribed = await subscribe(connected)

    assert [each.channel_id for each in await held(connected)] == [subscribed.channel_id]
    assert connected.host.adopted == [("phone", CHANNEL)]


async def test_subscribing_twice_is_one_subscription_and_a_new_page(
    connected: ObjectsWorld,
) -> None:
    await subscribe(connected)
    await connected.store({"id": "new"})
    again = await subscribe(connected)
    assert ids(again.items) == ["new"]
    assert len(await held(connected)) == 1


async def test_each_query_is_its_own_channel(connected: ObjectsWorld) -> None:
    channels = [
        (await subscribe(connected, **asked)).channel_id
        for asked in ({}, {"id": "t"}, {"filter": {"title": "one"}})
    ]
    assert [each.channel_id for each in await held(connected)] == channels


async def test_a_page_has_only_objects_of_the_channel(connected: ObjectsWorld) -> None:
    await connected.store({"id": "a", "title": "one"}, {"id": "b", "title": "two"})
    subscribed = await subscribe(connected, filter={"title": "two"})
    assert ids(subscribed.items) == ["b"]


async def test_the_channel_of_a_transient_model_has_an_empty_page(connected: ObjectsWorld) -> None:
    subscribed = await subscribe(connected, model="typing")
    assert (subscribed.items, subscribed.cursor) == ([], UNSET)
    assert len(await held(connected)) == 1


async def test_get_only_needs_no_connection_and_makes_no_subscription(
    world: ObjectsWorld,
) -> None:
    await world.application()
    await world.store({"id": "t"})
    read = await subscribe(world, get_only=True)
    assert (read.channel_id, ids(read.items)) == (UNSET, ["t"])
    assert await held(world) == []


# What is refused, and leaves nothing


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"model": "log"}, InvalidParameters),
        ({"model": "typing", "get_only": True}, InvalidParameters),
        ({"filter": {"notes": "a"}}, InvalidParameters),
        ({"limit": 0}, InvalidParameters),
        ({"sort": ["nothing"]}, InvalidParameters),
        ({"user_id": "ann"}, InvalidParameters),
    ],
)
async def test_an_impossible_subscription_is_refused_before_anything_is_done(
    connected: ObjectsWorld, asked: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await subscribe(connected, **asked)
    assert await held(connected) == []
    assert connected.host.adopted == []


async def test_a_device_without_a_connection_cannot_subscribe(world: ObjectsWorld) -> None:
    await world.application()
    with pytest.raises(DeviceNotConnected, match="register frame"):
        await subscribe(world)
    assert await held(world) == []


async def test_a_caller_without_a_device_cannot_subscribe(world: ObjectsWorld) -> None:
    await world.application()
    with pytest.raises(NoAuthPresent):
        await subscribe(world, Identity("app"))


async def test_a_device_has_no_more_subscriptions_than_the_limit(connected: ObjectsWorld) -> None:
    for name in "abc":
        await subscribe(connected, id=name)
    with pytest.raises(InvalidParameters, match=r"limits\.subscriptions"):
        await subscribe(connected, id="d")
    await subscribe(connected, id="a")  # it has that one
    assert len(await held(connected)) == 3


# Access control


@contract("roles: subscriptions are narrowed")
async def test_a_subscription_is_narrowed_to_visible_objects(world: ObjectsWorld) -> None:
    await world.application(WITH_USERS)
    await world.connect(ANN)
    await world.store({"id": "a", "userId": "ann"}, {"id": "b", "userId": "ben"})
    subscribed = await subscribe(world, ANN)
    assert ids(subscribed.items) == ["a"]
    (subscription,) = await held(world, ANN)
    assert subscription.channel_id.startswith(f"{CHANNEL}:filter:")
    assert subscription.route.access == {"userId": {"eq": "ann"}}
    assert (subscription.user_id, subscription.user_type) == ("ann", "member")


async def test_without_permission_subscribing_is_denied(world: ObjectsWorld) -> None:
    await world.application(WITH_USERS)
    await world.connect(READER)
    with pytest.raises(AccessDenied):
        await subscribe(world, READER)
    assert await held(world, READER) == []


# Unsubscribing


async def test_a_subscription_ends_with_the_descriptor_that_began_it(
    connected: ObjectsWorld,
) -> None:
    await subscribe(connected, filter={"title": "one"})
    await subscribe(connected)
    ended = await unsubscribe(connected, filter={"$and": [{"title": {"eq": "one"}}]})
    assert ended.startswith(f"{CHANNEL}:filter:")
    assert [each.channel_id for each in await held(connected)] == [CHANNEL]
    assert connected.host.adopted[-1] == ("phone", None)


async def test_unsubscribing_without_a_subscription_is_not_found(connected: ObjectsWorld) -> None:
    await subscribe(connected)
    with pytest.raises(NotFound):
        await unsubscribe(connected, id="t")
    with pytest.raises(NotFound):
        await unsubscribe(connected, Identity("app", device_id="another"))


async def test_a_silent_devices_subscription_ends_at_the_node_that_keeps_it(
    world: ObjectsWorld,
) -> None:
    await world.application()
    await world.connect(DEVICE, node="there")
    world.answer_asked()
    await subscribe(world)
    presence = await world.registry.presence.get("app", "phone")
    assert presence is not None
    await world.registry.presence.disconnect(presence)
    world.broker.sent.clear()

    assert await unsubscribe(world) == CHANNEL

    assert await held(world) == []
    ((mailbox, message),) = world.broker.sent
    assert mailbox == "websockets-transport.there"
    assert message.reply_to is None  # nobody waits for a node that may be gone


async def test_a_subscription_that_its_node_does_not_acknowledge_is_unavailable(
    world: ObjectsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.application()
    await world.connect(DEVICE, node="there")

    async def be_away(_: Any) -> None:
        raise ServiceUnavailable("away")

    world.broker.sending = be_away
    with pytest.raises(ServiceUnavailable):
        await subscribe(world)
