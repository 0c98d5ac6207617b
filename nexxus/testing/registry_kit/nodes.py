"""The nodes that share a registry."""

from __future__ import annotations

from nexxus.interfaces.registry import Node, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    eventually,
    new_node,
    nodes_by_key,
    route_to,
    subscription_to,
)


class NodesConformance(AnyRegistry):
    """Nodes live, die and are swept."""

    async def test_a_node_is_alive_after_it_announced_itself(self, registry: Registry) -> None:
        node = Node(new_node(), ("api", "gateway"), (TRANSPORT,))
        await registry.nodes.announce(node, 60)
        assert node in await registry.nodes.alive()
        await registry.nodes.retire(node.id)
        assert node not in await registry.nodes.alive()

    async def test_an_announcement_replaces_the_one_before(self, registry: Registry) -> None:
        node = Node(new_node(), ("api",))
        await registry.nodes.announce(node, 60)
        changed = Node(node.id, ("api", "gateway"), (TRANSPORT,))
        await registry.nodes.announce(changed, 60)
        assert [found for found in await registry.nodes.alive() if found.id == node.id] == [changed]
        await registry.nodes.retire(node.id)

    async def test_a_node_is_known_from_its_second_announcement_until_it_retires(
        self, registry: Registry
    ) -> None:
        node = Node(new_node(), ("gateway",))
        assert not await registry.nodes.announce(node, 60)
        assert await registry.nodes.announce(node, 60)
        await registry.nodes.retire(node.id)
        assert not await registry.nodes.announce(node, 60)
        await registry.nodes.retire(node.id)

    async def test_a_node_that_was_swept_and_comes_back_is_told_that_it_was_forgotten(
        self, registry: Registry
    ) -> None:
        node = Node(new_node(), ("gateway",))
        await registry.nodes.announce(node, 0.05)

        async def is_swept() -> bool:
            return node.id in await registry.nodes.sweep()

        await eventually(is_swept)
        assert not await registry.nodes.announce(node, 60)
        assert await registry.nodes.announce(node, 60)
        await registry.nodes.retire(node.id)

    async def test_a_node_whose_lifetime_ran_out_is_swept_once(
        self, registry: Registry, app: str
    ) -> None:
        node = Node(new_node(), ("gateway",), (TRANSPORT,))
        await registry.nodes.announce(node, 0.05)
        await registry.presence.connect(Presence(app, "d1", node.id, TRANSPORT, "c1"))
        await registry.subscriptions.put(subscription_to(route_to(app), "d1"), TRANSPORT, node.id)

        async def is_swept() -> bool:
            return node.id in await registry.nodes.sweep()

        await eventually(is_swept)
        assert node not in await registry.nodes.alive()
        assert await registry.presence.get(app, "d1") is None
        assert await registry.subscriptions.of_device(app, "d1") == []
        assert node.id not in await registry.nodes.sweep()

    async def test_a_node_that_lives_is_not_swept(self, registry: Registry) -> None:
        node = Node(new_node(), ("gateway",))
        await registry.nodes.announce(node, 60)
        assert node.id not in await registry.nodes.sweep()
        assert node in await registry.nodes.alive()
        await registry.nodes.retire(node.id)

    async def test_retiring_a_node_removes_what_is_its_own_and_nothing_else(
        self, registry: Registry, app: str
    ) -> None:
        gone, staying = new_node(), new_node()
        for device_id, node in (("d1", gone), ("d2", staying)):
            await registry.presence.connect(Presence(app, device_id, node, TRANSPORT, "c"))
            await registry.subscriptions.put(
                subscription_to(route_to(app), device_id), TRANSPORT, node
            )
        version = await registry.subscriptions.routes_version(app, "task")
        await registry.nodes.retire(gone)
        assert await registry.presence.get(app, "d1") is None
        assert await registry.presence.get(app, "d2") is not None
        assert await registry.subscriptions.of_device(app, "d1") == []
        assert len(await registry.subscriptions.of_device(app, "d2")) == 1
        assert await registry.subscriptions.routes_version(app, "task") > version
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {
            route_to(app).key: {(TRANSPORT, staying)}
        }

    async def test_retiring_an_unknown_node_is_fine(self, registry: Registry) -> None:
        await registry.nodes.retire(new_node())
