"""Registries that processes share: what one of them leaves behind when it dies or stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from nexxus.domain.pushes import RESYNC
from nexxus.interfaces.registry import Node, Placement, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    away_from,
    eventually,
    new_node,
    nodes_by_key,
    persistent,
    route_to,
    session_of,
    subscription_to,
    take_all,
)
from nexxus.testing.registry_kit.peer import OpenRegistry, Peer, running_peer


class ProcessesConformance(AnyRegistry):
    """`registry` is this process's, `peer` another one's on the same storage."""

    @pytest.fixture
    def open_registry(self, registry: Registry) -> OpenRegistry:
        """Creates a registry on the storage of `registry`; picklable."""
        raise NotImplementedError("a registry that processes share: override `open_registry`")

    @pytest.fixture
    async def peer(self, open_registry: OpenRegistry) -> AsyncIterator[Peer]:
        async with running_peer(open_registry) as peer:
            yield peer

    async def test_what_one_process_stores_the_other_sees(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        session = session_of(app, "d1")
        await peer.call("sessions.put", session)
        assert await registry.sessions.get(app, session.id) == session
        await registry.sessions.end(app, session.id)
        assert await peer.call("sessions.get", app, session.id) is None

    async def test_of_two_processes_that_rotate_a_session_one_wins(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        for number in range(20):
            session = session_of(app, f"d{number}")
            await registry.sessions.put(session)
            mine, theirs = (
                msgspec.structs.replace(session, generation=1, refresh_hash=each) for each in "mt"
            )
            peer.begin("sessions.rotate", theirs, expected_generation=0)
            won = await registry.sessions.rotate(mine, expected_generation=0)
            assert {won, await peer.outcome()} == {True, False}
            stored = mine if won else theirs
            assert await peer.call("sessions.get", app, session.id) == stored

    async def test_a_route_that_another_process_has_made_is_seen_at_once(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        version = 0
        for number in range(10):
            subscription = subscription_to(route_to(app, name=str(number)), "d1")
            await peer.call("subscriptions.put", subscription, TRANSPORT, "n2")
            changes = await registry.subscriptions.routes(app, "task", version)
            assert nodes_by_key(changes)[subscription.route.key] == {(TRANSPORT, "n2")}
            assert changes.version > version
            version = changes.version

    async def test_a_killed_processs_node_is_swept_with_what_it_held(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        node, route = Node(new_node(), ("gateway",), (TRANSPORT,)), route_to(app)
        for device_id in ("volatile", "lasting"):
            presence = Presence(app, device_id, node.id, TRANSPORT, "c")
            await peer.call("presence.connect", presence)
        volatile, lasting = subscription_to(route, "volatile"), persistent(route, "lasting")
        for subscription in (volatile, lasting):
            await peer.call("subscriptions.put", subscription, TRANSPORT, node.id)
        await peer.call("nodes.announce", node, 0.5)
        peer.kill()

        async def is_swept() -> bool:
            return node.id in await registry.nodes.sweep()

        await eventually(is_swept)
        assert await registry.presence.get(app, "volatile") is None
        assert await registry.subscriptions.of_device(app, "volatile") == []
        assert await registry.subscriptions.placements(app, "lasting") == [Placement(lasting)]
        assert await away_from(registry, route) == ["lasting"]
        (due,) = await take_all(registry, app, 1)
        assert (due.device_id, due.notices) == ("lasting", (RESYNC,))

    async def test_a_stalled_process_that_wakes_up_learns_that_it_was_taken_for_dead(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        node, route = Node(new_node(), ("gateway",), (TRANSPORT,)), route_to(app)
        subscription = persistent(route, "d1")
        await peer.call("presence.connect", Presence(app, "d1", node.id, TRANSPORT, "c"))
        await peer.call("subscriptions.put", subscription, TRANSPORT, node.id)
        await peer.call("nodes.announce", node, 0.5)
        peer.stall()

        async def is_swept() -> bool:
            return node.id in await registry.nodes.sweep()

        await eventually(is_swept)
        assert await away_from(registry, route) == ["d1"]
        peer.wake()
        assert not await peer.call("nodes.announce", node, 60)
        await peer.call("presence.connect", Presence(app, "d1", node.id, TRANSPORT, "c"))
        await peer.call("subscriptions.put", subscription, TRANSPORT, node.id)
        placed = Placement(subscription, (TRANSPORT, node.id))
        assert await registry.subscriptions.placements(app, "d1") == [placed]
        assert await away_from(registry, route) == []
        await registry.nodes.retire(node.id)

    async def test_a_stalled_process_that_wakes_up_does_not_disconnect_its_successor(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        former = Presence(app, "d1", "n1", TRANSPORT, "c1")
        present = Presence(app, "d1", "n2", TRANSPORT, "c2")
        await peer.call("presence.connect", former)
        peer.stall()
        peer.begin("presence.disconnect", former)
        assert await registry.presence.connect(present) == former
        peer.wake()
        await peer.outcome()
        assert await registry.presence.get(app, "d1") == present

    async def test_a_killed_processs_claims_stay(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        assert await peer.call("claims.claim", app, "scope", "k", b"theirs", 60) is None
        peer.kill()
        assert await registry.claims.claim(app, "scope", "k", b"mine", 60) == b"theirs"

    async def test_what_a_killed_process_was_pushing_is_due_again(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        await registry.pushes.add(app, ["d1"], RESYNC, within=0)

        async def is_taken() -> bool:
            taken = await peer.call("pushes.take", 10, lease=1)
            return any(due.app_id == app for due in taken)

        await eventually(is_taken)
        assert await take_all(registry, app, 0) == []
        peer.kill()
        (due,) = await take_all(registry, app, 1)
        assert (due.device_id, due.notices) == ("d1", (RESYNC,))

    async def test_devices_that_come_and_go_on_two_nodes_end_as_the_last_one_says(
        self, registry: Registry, peer: Peer, app: str
    ) -> None:
        route = route_to(app)
        devices = [f"d{number}" for number in range(10)]
        for device_id in devices:
            await registry.subscriptions.put_away(persistent(route, device_id), is_new=True)

        async def come_and_go() -> None:
            for device_id in devices:
                mine = Presence(app, device_id, "n1", TRANSPORT, "mine")
                await registry.presence.connect(mine)
                await registry.presence.disconnect(mine)

        going = asyncio.create_task(come_and_go())
        for device_id in devices:
            await peer.call("presence.connect", Presence(app, device_id, "n2", TRANSPORT, "t"))
        await going
        present = {each for each in devices if await registry.presence.get(app, each) is not None}
        assert await away_from(registry, route) == sorted(set(devices) - present)
