"""The conformance kit for `nexxus.interfaces.registry.Registry`.

Subclass `RegistryConformance` in a test module, give it a fixture `registry` that yields an open
registry (and closes it afterwards), and override `reopen`::

    class TestMyRegistry(RegistryConformance):
        @pytest.fixture
        async def registry(self):
            registry = MyRegistry(settings)
            await registry.open()
            yield registry
            await registry.close()

Every test uses applications and nodes of its own, so a shared server will do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
import pytest

from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.operations import Fate, OperationError
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import Device, Node, Presence, Registry, RouteChanges, Session

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

TRANSPORT = "websockets"


def new_app() -> str:
    """The id of an application that nobody else uses."""
    return f"kit-{uuid4().hex}"


def new_node() -> str:
    """The id of a node that nobody else uses."""
    return f"node-{uuid4().hex}"


def session_of(app_id: str, device_id: str, **changes: object) -> Session:
    """A live session of generation 0 for a device; its id is derived from the device's."""
    session = Session(
        id=f"session-{device_id}",
        app_id=app_id,
        device_id=device_id,
        user_id="u1",
        generation=0,
        refresh_hash="0" * 64,
        rotated_at=1_700_000_000.25,
        expires_at=int(time.time()) + 3600,
    )
    return msgspec.structs.replace(session, **changes)


def route_to(app_id: str, model: str = "task", name: str = "all", audience: str = "") -> Route:
    """A route to a channel of a model; `audience` tells those of one channel apart."""
    key = f"nxx:subscription:{app_id}:{model}:filter:{name}{audience and '~'}{audience}"
    access = {"userId": {"eq": audience}} if audience else None
    return Route(key, app_id, Descriptor(model, filter={"status": {"eq": name}}), access)


def subscription_to(
    route: Route, device_id: str, narrowing_from: Route | None = None
) -> Subscription:
    """A device's subscription that is routed so."""
    return Subscription(
        route.app_id,
        device_id,
        route.key.partition("~")[0],
        route.descriptor,
        route,
        narrowing_from,
    )


def applied(app_id: str, operation_id: str, version: int = 1) -> Fate:
    """The fate of an operation that was applied."""
    return Fate(app_id, operation_id, "applied", "user:u1", version)


def nodes_by_key(changes: RouteChanges) -> dict[str, set[tuple[str, str]]]:
    """Routing key → the nodes that it is said to have; fails when a key is said twice."""
    told = {state.route.key: set(state.nodes) for state in changes.states}
    assert len(told) == len(changes.states)
    return told


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - a registry does not tell
            await asyncio.sleep(0.02)


class RegistryConformance:
    """What the docstrings of `Registry` promise, a test each."""

    @pytest.fixture
    def app(self) -> str:
        return new_app()

    async def reopen(self, registry: Registry) -> Registry:
        """Close the registry and open another on the same storage."""
        raise NotImplementedError("a registry survives a restart: override `reopen`")

    # Opening and closing

    async def test_an_open_registry_answers_a_ping(self, registry: Registry) -> None:
        await registry.ping()

    async def test_closing_twice_is_fine_and_a_closed_one_does_not_answer(
        self, registry: Registry
    ) -> None:
        await registry.close()
        await registry.close()
        with pytest.raises(ServiceUnavailable):
            await registry.ping()

    async def test_the_statistics_are_numbers(self, registry: Registry) -> None:
        assert all(
            isinstance(value, (int, float)) for value in (await registry.statistics()).values()
        )

    # Nodes

    async def test_a_node_is_alive_after_it_announced_itself(self, registry: Registry) -> None:
        node = Node(new_node(), ("api", "gateway"), (TRANSPORT,))
        await registry.announce(node, 60)
        assert node in await registry.nodes()
        await registry.retire(node.id)
        assert node not in await registry.nodes()

    async def test_an_announcement_replaces_the_one_before(self, registry: Registry) -> None:
        node = Node(new_node(), ("api",))
        await registry.announce(node, 60)
        changed = Node(node.id, ("api", "gateway"), (TRANSPORT,))
        await registry.announce(changed, 60)
        assert [found for found in await registry.nodes() if found.id == node.id] == [changed]
        await registry.retire(node.id)

    async def test_a_node_whose_lifetime_ran_out_is_swept_once(
        self, registry: Registry, app: str
    ) -> None:
        node = Node(new_node(), ("gateway",), (TRANSPORT,))
        await registry.announce(node, 0.05)
        await registry.connect(Presence(app, "d1", node.id, TRANSPORT, "c1"))
        await registry.subscribe(subscription_to(route_to(app), "d1"), TRANSPORT, node.id)

        async def is_swept() -> bool:
            return node.id in await registry.sweep()

        await eventually(is_swept)
        assert node not in await registry.nodes()
        assert await registry.presence_of(app, "d1") is None
        assert await registry.subscriptions_of(app, "d1") == []
        assert node.id not in await registry.sweep()

    async def test_a_node_that_lives_is_not_swept(self, registry: Registry) -> None:
        node = Node(new_node(), ("gateway",))
        await registry.announce(node, 60)
        assert node.id not in await registry.sweep()
        assert node in await registry.nodes()
        await registry.retire(node.id)

    async def test_retiring_a_node_removes_what_is_its_own_and_nothing_else(
        self, registry: Registry, app: str
    ) -> None:
        gone, staying = new_node(), new_node()
        for device_id, node in (("d1", gone), ("d2", staying)):
            await registry.connect(Presence(app, device_id, node, TRANSPORT, "c"))
            await registry.subscribe(subscription_to(route_to(app), device_id), TRANSPORT, node)
        version = await registry.routes_version(app, "task")
        await registry.retire(gone)
        assert await registry.presence_of(app, "d1") is None
        assert await registry.presence_of(app, "d2") is not None
        assert await registry.subscriptions_of(app, "d1") == []
        assert len(await registry.subscriptions_of(app, "d2")) == 1
        assert await registry.routes_version(app, "task") > version
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {
            route_to(app).key: {(TRANSPORT, staying)}
        }

    async def test_retiring_an_unknown_node_is_fine(self, registry: Registry) -> None:
        await registry.retire(new_node())

    # Devices

    async def test_a_device_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        device = Device("d1", app, "Ana’s phone ✓", "u1", 1_700_000_000)
        await registry.put_device(device)
        assert await registry.get_device(app, "d1") == device
        assert await registry.get_device(app, "d2") is None

    async def test_a_users_devices_come_oldest_first_even_if_changed(
        self, registry: Registry, app: str
    ) -> None:
        for number in (1, 2, 3):
            await registry.put_device(Device(f"d{4 - number}", app, f"device {number}", "u1"))
        await registry.put_device(Device("other", app, "another's", "u2"))
        await registry.put_device(Device("nobody", app, "nobody's"))
        await registry.put_device(Device("d3", app, "renamed", "u1"))
        devices = await registry.devices_of(app, "u1")
        assert [device.name for device in devices] == ["renamed", "device 2", "device 3"]

    async def test_a_device_that_changes_its_user_is_listed_with_the_new_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_device(Device("d1", app, "tablet", "u1"))
        await registry.put_device(Device("d1", app, "tablet", "u2"))
        assert await registry.devices_of(app, "u1") == []
        assert [device.id for device in await registry.devices_of(app, "u2")] == ["d1"]

    async def test_deleted_devices_go_with_their_sessions_and_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        for device_id in ("d1", "d2"):
            await registry.put_device(Device(device_id, app, "phone", "u1"))
            await registry.put_session(session_of(app, device_id))
            subscription = subscription_to(route_to(app, name=device_id), device_id)
            await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.delete_devices(app, ["d1", "unknown"])
        assert await registry.get_device(app, "d1") is None
        assert await registry.get_session(app, "session-d1") is None
        assert await registry.subscriptions_of(app, "d1") == []
        assert [device.id for device in await registry.devices_of(app, "u1")] == ["d2"]
        assert [session.id for session in await registry.sessions_of(app, "u1")] == ["session-d2"]
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {
            route_to(app, name="d2").key: {(TRANSPORT, "n1")}
        }

    # Sessions

    async def test_a_session_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        assert await registry.put_session(session) is None
        assert await registry.get_session(app, session.id) == session
        assert await registry.get_session(app, "unknown") is None

    async def test_a_session_that_was_missing_is_found_once_it_is_put(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        assert await registry.get_session(app, session.id) is None
        await registry.put_session(session)
        assert await registry.get_session(app, session.id) == session

    async def test_a_new_session_replaces_the_devices_former_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_session(session_of(app, "d1", id="s1"))
        assert await registry.put_session(session_of(app, "d1", id="s2")) == "s1"
        assert await registry.get_session(app, "s1") is None
        assert await registry.get_session(app, "s2") is not None
        assert [session.id for session in await registry.sessions_of(app, "u1")] == ["s2"]

    async def test_of_many_sessions_put_at_once_for_a_device_one_lives(
        self, registry: Registry, app: str
    ) -> None:
        ids = [f"s{number}" for number in range(20)]
        replaced = await asyncio.gather(
            *(registry.put_session(session_of(app, "d1", id=session_id)) for session_id in ids)
        )
        live = {session_id for session_id in ids if await registry.get_session(app, session_id)}
        assert len(live) == 1
        assert sorted(filter(None, replaced)) == sorted(set(ids) - live)

    async def test_an_expired_session_is_never_returned(self, registry: Registry, app: str) -> None:
        expired = session_of(app, "d1", expires_at=int(time.time()) - 1)
        await registry.put_session(expired)
        assert await registry.get_session(app, expired.id) is None
        assert await registry.sessions_of(app, "u1") == []
        assert not await registry.rotate_session(
            msgspec.structs.replace(expired, generation=1), expected_generation=0
        )
        assert await registry.end_session(app, expired.id) is None
        await registry.put_session(session_of(app, "d2", id="old", expires_at=1))
        assert await registry.put_session(session_of(app, "d2", id="new")) is None

    async def test_a_session_rotates_from_the_expected_generation_only(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        rotated = msgspec.structs.replace(
            session, generation=1, refresh_hash="1" * 64, rotated_at=time.time()
        )
        assert await registry.rotate_session(rotated, expected_generation=0)
        assert await registry.get_session(app, session.id) == rotated
        stolen = msgspec.structs.replace(session, generation=1, refresh_hash="f" * 64)
        assert not await registry.rotate_session(stolen, expected_generation=0)
        assert await registry.get_session(app, session.id) == rotated

    async def test_of_concurrent_rotations_one_wins(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        candidates = [
            msgspec.structs.replace(session, generation=1, refresh_hash=f"{number:064}")
            for number in range(20)
        ]
        won = await asyncio.gather(
            *(registry.rotate_session(each, expected_generation=0) for each in candidates)
        )
        assert won.count(True) == 1
        assert await registry.get_session(app, session.id) == candidates[won.index(True)]

    async def test_an_ended_session_is_gone_at_once_and_cannot_rotate(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        assert await registry.get_session(app, session.id) == session
        assert await registry.end_session(app, session.id) == session
        assert await registry.get_session(app, session.id) is None
        assert await registry.end_session(app, session.id) is None
        assert not await registry.rotate_session(
            msgspec.structs.replace(session, generation=1), expected_generation=0
        )
        assert await registry.get_session(app, session.id) is None
        assert await registry.sessions_of(app, "u1") == []

    async def test_a_session_is_ended_for_one_of_many_who_ask(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        ended = await asyncio.gather(*(registry.end_session(app, session.id) for _ in range(20)))
        assert [each for each in ended if each is not None] == [session]

    async def test_reads_beside_the_end_of_a_session_do_not_revive_it(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        await asyncio.gather(
            *(registry.get_session(app, session.id) for _ in range(20)),
            registry.end_session(app, session.id),
            *(registry.get_session(app, session.id) for _ in range(20)),
        )
        assert await registry.get_session(app, session.id) is None

    async def test_a_cancelled_end_leaves_memory_and_storage_alike(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        ending = asyncio.create_task(registry.end_session(app, session.id))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)

        async def are_alike() -> bool:
            listed = await registry.sessions_of(app, "u1")
            found = await registry.get_session(app, session.id)
            return bool(listed) == (found is not None)

        await eventually(are_alike)

    async def test_a_users_sessions_are_listed_without_those_of_others(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_session(session_of(app, "d1"))
        await registry.put_session(session_of(app, "d2"))
        await registry.put_session(session_of(app, "d3", user_id="u2"))
        await registry.put_session(session_of(app, "d4", user_id=None))
        found = {session.device_id for session in await registry.sessions_of(app, "u1")}
        assert found == {"d1", "d2"}

    # Claims

    async def test_the_first_claim_wins_and_the_others_see_its_value(
        self, registry: Registry, app: str
    ) -> None:
        assert await registry.claim(app, "idempotency", "k", b"\x00\xff one", 60) is None
        assert await registry.claim(app, "idempotency", "k", b"two", 60) == b"\x00\xff one"

    async def test_of_a_hundred_concurrent_claims_one_wins(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(registry.claim(app, "nonce", "k", f"{number}".encode(), 60) for number in range(100))
        )
        assert outcomes.count(None) == 1
        winner = f"{outcomes.index(None)}".encode()
        assert {outcome for outcome in outcomes if outcome is not None} == {winner}

    async def test_claims_of_equal_values_still_have_one_winner(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(registry.claim(app, "state", "k", b"1", 60) for _ in range(20))
        )
        assert sorted(outcomes, key=str) == sorted([None, *[b"1"] * 19], key=str)

    @pytest.mark.parametrize("key", ["", "a:b", "ключ ✓", "nul\x00one", "%", '"\\'])
    async def test_any_text_may_be_claimed(self, registry: Registry, app: str, key: str) -> None:
        assert await registry.claim(app, "scope", key, b"", 60) is None
        assert await registry.claim(app, "scope", key, b"late", 60) == b""
        assert await registry.claim(app, "scope", key + "\x00", b"another", 60) is None

    async def test_scopes_and_keys_are_told_apart(self, registry: Registry, app: str) -> None:
        for scope, key in (("a", "b:c"), ("a:b", "c"), ("a", "b"), ("b", "a")):
            assert await registry.claim(app, scope, key, b"1", 60) is None

    async def test_a_released_claim_is_free_again(self, registry: Registry, app: str) -> None:
        await registry.claim(app, "scope", "k\x00", b"one", 60)
        await registry.release(app, "scope", "k\x00")
        assert await registry.claim(app, "scope", "k\x00", b"two", 60) is None
        await registry.release(app, "scope", "unknown")

    async def test_a_claim_is_free_again_after_its_time(self, registry: Registry, app: str) -> None:
        assert await registry.claim(app, "scope", "k", b"one", 1) is None

        async def is_free() -> bool:
            return await registry.claim(app, "scope", "k", b"two", 60) is None

        await eventually(is_free)
        assert await registry.claim(app, "scope", "k", b"three", 60) == b"two"

    # Counters

    async def test_hits_are_counted_per_scope_and_key(self, registry: Registry, app: str) -> None:
        assert [await registry.hit(app, "sign-in", "ana", 60) for _ in range(3)] == [1, 2, 3]
        assert await registry.hit(app, "sign-in", "ana", 60, add=5) == 8
        assert await registry.hit(app, "sign-in", "bo", 60) == 1
        assert await registry.hit(app, "requests", "ana", 60) == 1

    async def test_a_hit_of_nothing_reads_the_counter(self, registry: Registry, app: str) -> None:
        assert await registry.hit(app, "sign-in", "ana", 60, add=0) == 0
        await registry.hit(app, "sign-in", "ana", 60)
        assert await registry.hit(app, "sign-in", "ana", 60, add=0) == 1

    async def test_concurrent_hits_all_count(self, registry: Registry, app: str) -> None:
        values = await asyncio.gather(*(registry.hit(app, "s", "k", 60) for _ in range(50)))
        assert sorted(values) == list(range(1, 51))

    async def test_a_counter_starts_anew_after_its_window(
        self, registry: Registry, app: str
    ) -> None:
        await registry.hit(app, "s", "k", 1, add=1000)

        async def is_anew() -> bool:
            return await registry.hit(app, "s", "k", 1) < 1000

        await eventually(is_anew)

    # Fates

    async def test_a_fate_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        error = OperationError("VersionConflictException", "expected 3 ✓", {"field": "ifVersion"})
        rejected = Fate(app, "o2", "rejected", "device:d1", None, error)
        await registry.put_fates([applied(app, "o1", 7), rejected])
        assert await registry.get_fate(app, "o1") == applied(app, "o1", 7)
        assert await registry.get_fate(app, "o2") == rejected
        assert await registry.get_fate(app, "o3") is None

    async def test_putting_no_fates_is_fine(self, registry: Registry) -> None:
        await registry.put_fates([])

    async def test_a_queued_fate_is_replaced_and_never_replaces(
        self, registry: Registry, app: str
    ) -> None:
        queued = Fate(app, "o1", "queued", "user:u1")
        await registry.put_fates([queued])
        assert await registry.get_fate(app, "o1") == queued
        await registry.put_fates([applied(app, "o1")])
        await registry.put_fates([queued])
        assert await registry.get_fate(app, "o1") == applied(app, "o1")
        await registry.put_fates([applied(app, "o2"), Fate(app, "o2", "queued", "user:u1")])
        assert await registry.get_fate(app, "o2") == applied(app, "o2")

    async def test_many_fates_are_put_at_once(self, registry: Registry, app: str) -> None:
        await asyncio.gather(
            *(
                registry.put_fates([applied(app, f"{batch}-{number}") for number in range(200)])
                for batch in range(10)
            )
        )
        for operation_id in ("0-0", "4-100", "9-199"):
            assert await registry.get_fate(app, operation_id) == applied(app, operation_id)

    # Presence

    async def test_a_connected_device_is_present_until_it_disconnects(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        assert await registry.presence_of(app, "d1") is None
        assert await registry.connect(presence) is None
        assert await registry.presence_of(app, "d1") == presence
        await registry.disconnect(presence)
        assert await registry.presence_of(app, "d1") is None
        await registry.disconnect(presence)

    async def test_a_second_connection_replaces_the_first_and_is_told(
        self, registry: Registry, app: str
    ) -> None:
        first = Presence(app, "d1", "n1", TRANSPORT, "c1")
        second = Presence(app, "d1", "n2", TRANSPORT, "c2")
        await registry.connect(first)
        assert await registry.connect(second) == first
        await registry.disconnect(first)
        assert await registry.presence_of(app, "d1") == second

    async def test_of_concurrent_connections_each_replaces_another(
        self, registry: Registry, app: str
    ) -> None:
        presences = [Presence(app, "d1", "n1", TRANSPORT, f"c{number}") for number in range(20)]
        replaced = await asyncio.gather(*map(registry.connect, presences))
        holder = await registry.presence_of(app, "d1")
        former = [presence for presence in replaced if presence is not None]
        assert len(former) == 19
        assert {presence.connection_id for presence in former} == {
            presence.connection_id for presence in presences if presence != holder
        }

    async def test_a_disconnect_leaves_the_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.connect(presence)
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.disconnect(presence)
        assert await registry.subscriptions_of(app, "d1") == [subscription]

    # Subscriptions

    async def test_subscriptions_come_as_and_in_the_order_they_were_made(
        self, registry: Registry, app: str
    ) -> None:
        former = route_to(app, name="c", audience="old")
        subscriptions = [
            subscription_to(route_to(app, name="b"), "d1"),
            subscription_to(route_to(app, model="user-note", name="a"), "d1"),
            subscription_to(route_to(app, name="c", audience="new"), "d1", former),
        ]
        for subscription in subscriptions:
            await registry.subscribe(subscription, TRANSPORT, "n1")
        assert await registry.subscriptions_of(app, "d1") == subscriptions
        assert await registry.subscriptions_of(app, "d2") == []

    async def test_subscribing_again_replaces_and_keeps_the_place(
        self, registry: Registry, app: str
    ) -> None:
        other = subscription_to(route_to(app, name="b"), "d1")
        before = subscription_to(route_to(app, name="a", audience="one"), "d1")
        after = subscription_to(route_to(app, name="a", audience="two"), "d1")
        for subscription in (before, other, after):
            await registry.subscribe(subscription, TRANSPORT, "n1")
        assert await registry.subscriptions_of(app, "d1") == [after, other]
        assert set(nodes_by_key(await registry.routes(app, "task", 0))) == {
            after.route.key,
            other.route.key,
        }

    async def test_unsubscribing_removes_what_is_named(self, registry: Registry, app: str) -> None:
        one = subscription_to(route_to(app, name="a"), "d1")
        two = subscription_to(route_to(app, name="b"), "d1")
        for subscription in (one, two):
            await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.unsubscribe(app, "d1", [one.channel_id, "unknown"])
        await registry.unsubscribe(app, "unknown", [two.channel_id])
        assert await registry.subscriptions_of(app, "d1") == [two]
        await registry.unsubscribe(app, "d1", [two.channel_id])
        assert await registry.subscriptions_of(app, "d1") == []

    # Routes

    async def test_a_model_without_routes_has_version_0(self, registry: Registry, app: str) -> None:
        assert await registry.routes_version(app, "task") == 0
        changes = await registry.routes(app, "task", 0)
        assert (changes.version, changes.complete, changes.states) == (0, True, [])

    async def test_a_first_subscriber_makes_a_route_and_the_last_ends_it(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        for device_id in ("d1", "d2"):
            await registry.subscribe(subscription_to(route, device_id), TRANSPORT, "n1")
        there = await registry.routes(app, "task", 0)
        assert nodes_by_key(there) == {route.key: {(TRANSPORT, "n1")}}
        assert [state.route for state in there.states] == [route]
        channel = subscription_to(route, "d1").channel_id
        await registry.unsubscribe(app, "d1", [channel])
        assert await registry.routes_version(app, "task") == there.version
        await registry.unsubscribe(app, "d2", [channel])
        gone = await registry.routes(app, "task", there.version)
        assert gone.version > there.version
        assert nodes_by_key(gone) == ({} if gone.complete else {route.key: set()})
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {}

    async def test_a_further_subscriber_on_a_node_changes_no_version(
        self, registry: Registry, app: str
    ) -> None:
        await registry.subscribe(subscription_to(route_to(app), "d1"), TRANSPORT, "n1")
        version = await registry.routes_version(app, "task")
        assert version > 0
        await registry.subscribe(subscription_to(route_to(app), "d2"), TRANSPORT, "n1")
        await registry.subscribe(subscription_to(route_to(app), "d2"), TRANSPORT, "n1")
        assert await registry.routes_version(app, "task") == version

    async def test_subscribing_twice_counts_once(self, registry: Registry, app: str) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.unsubscribe(app, "d1", [subscription.channel_id])
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {}

    async def test_a_further_node_or_transport_changes_the_version(
        self, registry: Registry, app: str
    ) -> None:
        places = [(TRANSPORT, "n1"), (TRANSPORT, "n2"), ("sse", "n1")]
        version = 0
        for number, (transport, node) in enumerate(places, 1):
            subscription = subscription_to(route_to(app), f"d{number}")
            await registry.subscribe(subscription, transport, node)
            changes = await registry.routes(app, "task", version)
            assert changes.version > version
            assert nodes_by_key(changes) == {route_to(app).key: set(places[:number])}
            version = changes.version

    async def test_a_device_that_subscribes_on_another_node_moves_there(
        self, registry: Registry, app: str
    ) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        version = await registry.routes_version(app, "task")
        await registry.subscribe(subscription, TRANSPORT, "n2")
        changes = await registry.routes(app, "task", version)
        assert changes.version > version
        assert nodes_by_key(changes) == {subscription.route.key: {(TRANSPORT, "n2")}}

    async def test_what_is_asked_since_a_version_is_what_changed_after_it(
        self, registry: Registry, app: str
    ) -> None:
        names = ["a", "b", "c", "d"]
        for name in names[:3]:
            subscription = subscription_to(route_to(app, name=name), "d1")
            await registry.subscribe(subscription, TRANSPORT, "n1")
        known = nodes_by_key(await registry.routes(app, "task", 0))
        version = await registry.routes_version(app, "task")
        await registry.unsubscribe(app, "d1", [route_to(app, name="b").key])
        for name, node in (("d", "n1"), ("a", "n2")):
            subscription = subscription_to(route_to(app, name=name), "d2")
            await registry.subscribe(subscription, TRANSPORT, node)
        changes = await registry.routes(app, "task", version)
        told = nodes_by_key(changes)
        merged = told if changes.complete else known | told
        assert {key: nodes for key, nodes in merged.items() if nodes} == {
            route_to(app, name="a").key: {(TRANSPORT, "n1"), (TRANSPORT, "n2")},
            route_to(app, name="c").key: {(TRANSPORT, "n1")},
            route_to(app, name="d").key: {(TRANSPORT, "n1")},
        }
        again = await registry.routes(app, "task", changes.version)
        assert again.version == changes.version
        assert again.complete or again.states == []

    async def test_a_route_that_went_and_came_back_is_told_once_and_as_it_is(
        self, registry: Registry, app: str
    ) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        version = await registry.routes_version(app, "task")
        for node in ("n2", "n3"):
            await registry.unsubscribe(app, "d1", [subscription.channel_id])
            await registry.subscribe(subscription, TRANSPORT, node)
        assert nodes_by_key(await registry.routes(app, "task", version)) == {
            subscription.route.key: {(TRANSPORT, "n3")}
        }

    async def test_a_version_that_was_never_reached_is_answered_with_everything(
        self, registry: Registry, app: str
    ) -> None:
        await registry.subscribe(subscription_to(route_to(app), "d1"), TRANSPORT, "n1")
        version = await registry.routes_version(app, "task")
        changes = await registry.routes(app, "task", version + 1_000)
        assert changes.complete
        assert set(nodes_by_key(changes)) == {route_to(app).key}

    async def test_models_have_versions_of_their_own(self, registry: Registry, app: str) -> None:
        await registry.subscribe(subscription_to(route_to(app, "task"), "d1"), TRANSPORT, "n1")
        version = await registry.routes_version(app, "task")
        await registry.subscribe(subscription_to(route_to(app, "note"), "d1"), TRANSPORT, "n1")
        assert await registry.routes_version(app, "task") == version
        assert set(nodes_by_key(await registry.routes(app, "note", 0))) == {
            route_to(app, "note").key
        }

    async def test_while_a_subscription_narrows_both_of_its_routes_count(
        self, registry: Registry, app: str
    ) -> None:
        old, new = route_to(app, audience="old"), route_to(app, audience="new")
        await registry.subscribe(subscription_to(old, "d1"), TRANSPORT, "n1")
        await registry.subscribe(subscription_to(new, "d1", old), TRANSPORT, "n1")
        assert set(nodes_by_key(await registry.routes(app, "task", 0))) == {old.key, new.key}
        await registry.subscribe(subscription_to(new, "d1"), TRANSPORT, "n1")
        assert set(nodes_by_key(await registry.routes(app, "task", 0))) == {new.key}
        await registry.unsubscribe(app, "d1", [subscription_to(new, "d1").channel_id])
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {}

    async def test_concurrent_subscribers_leave_nothing_behind(
        self, registry: Registry, app: str
    ) -> None:
        subscriptions = [subscription_to(route_to(app), f"d{number}") for number in range(50)]
        await asyncio.gather(
            *(
                registry.subscribe(each, TRANSPORT, f"n{number % 2}")
                for number, each in enumerate(subscriptions)
            )
        )
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {
            route_to(app).key: {(TRANSPORT, "n0"), (TRANSPORT, "n1")}
        }
        await asyncio.gather(
            *(
                registry.unsubscribe(app, each.device_id, [each.channel_id])
                for each in subscriptions
            )
        )
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {}

    # Tenants

    async def test_the_same_ids_in_two_applications_never_meet(self, registry: Registry) -> None:
        one, other = new_app(), new_app()
        await self._fill(registry, one)
        assert await registry.get_device(other, "d1") is None
        assert await registry.devices_of(other, "u1") == []
        assert await registry.get_session(other, "session-d1") is None
        assert await registry.sessions_of(other, "u1") == []
        assert await registry.end_session(other, "session-d1") is None
        assert not await registry.rotate_session(
            session_of(other, "d1", generation=1), expected_generation=0
        )
        assert await registry.get_fate(other, "o1") is None
        assert await registry.hit(other, "s", "k", 60) == 1
        assert await registry.presence_of(other, "d1") is None
        assert await registry.subscriptions_of(other, "d1") == []
        assert await registry.routes_version(other, "task") == 0
        assert await registry.claim(other, "scope", "k", b"mine", 60) is None
        await registry.release(other, "scope", "k")
        await registry.delete_devices(other, ["d1"])
        await registry.unsubscribe(other, "d1", [route_to(one).key])
        await registry.disconnect(Presence(other, "d1", "n1", TRANSPORT, "c1"))
        await registry.drop(other)
        await self._is_full(registry, one)

    async def test_dropping_an_application_leaves_nothing_of_it(self, registry: Registry) -> None:
        dropped, kept = new_app(), new_app()
        await self._fill(registry, dropped)
        await self._fill(registry, kept)
        version = await registry.routes_version(dropped, "task")
        await registry.drop(dropped)
        assert await registry.get_device(dropped, "d1") is None
        assert await registry.devices_of(dropped, "u1") == []
        assert await registry.get_session(dropped, "session-d1") is None
        assert await registry.sessions_of(dropped, "u1") == []
        assert await registry.get_fate(dropped, "o1") is None
        assert await registry.claim(dropped, "scope", "k", b"again", 60) is None
        assert await registry.hit(dropped, "s", "k", 60) == 1
        assert await registry.presence_of(dropped, "d1") is None
        assert await registry.subscriptions_of(dropped, "d1") == []
        assert await registry.routes_version(dropped, "task") > version
        assert nodes_by_key(await registry.routes(dropped, "task", 0)) == {}
        await self._is_full(registry, kept)

    # Restart

    async def test_devices_sessions_fates_and_claims_survive_a_restart(
        self, registry: Registry, app: str
    ) -> None:
        await self._fill(registry, app)
        await registry.put_session(session_of(app, "d2"))
        await registry.end_session(app, "session-d2")
        reopened = await self.reopen(registry)
        try:
            assert await reopened.get_device(app, "d1") == Device("d1", app, "phone", "u1")
            assert (await reopened.get_session(app, "session-d1")) is not None
            assert await reopened.get_session(app, "session-d2") is None
            assert await reopened.get_fate(app, "o1") == applied(app, "o1")
            assert await reopened.claim(app, "scope", "k", b"late", 60) == b"value"
        finally:
            await reopened.close()

    async def _fill(self, registry: Registry, app_id: str) -> None:
        await registry.put_device(Device("d1", app_id, "phone", "u1"))
        await registry.put_session(session_of(app_id, "d1"))
        await registry.claim(app_id, "scope", "k", b"value", 60)
        await registry.hit(app_id, "s", "k", 60)
        await registry.put_fates([applied(app_id, "o1")])
        await registry.connect(Presence(app_id, "d1", "n1", TRANSPORT, "c1"))
        await registry.subscribe(subscription_to(route_to(app_id), "d1"), TRANSPORT, "n1")

    async def _is_full(self, registry: Registry, app_id: str) -> None:
        assert await registry.get_device(app_id, "d1") is not None
        assert await registry.get_session(app_id, "session-d1") is not None
        assert await registry.claim(app_id, "scope", "k", b"late", 60) == b"value"
        assert await registry.hit(app_id, "s", "k", 60) == 2
        assert await registry.get_fate(app_id, "o1") == applied(app_id, "o1")
        assert await registry.presence_of(app_id, "d1") is not None
        assert len(await registry.subscriptions_of(app_id, "d1")) == 1
        assert set(nodes_by_key(await registry.routes(app_id, "task", 0))) == {route_to(app_id).key}
