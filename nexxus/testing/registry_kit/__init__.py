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

from nexxus.testing.registry_kit.materials import (
    PATIENCE,
    TRANSPORT,
    applied,
    eventually,
    new_app,
    new_node,
    nodes_by_key,
    route_to,
    session_of,
    subscription_to,
)
from nexxus.testing.registry_kit.nodes import (
    NodesConformance,
    OpeningConformance,
    PresenceConformance,
)
from nexxus.testing.registry_kit.once import (
    ClaimsConformance,
    CountersConformance,
    FatesConformance,
)
from nexxus.testing.registry_kit.sessions import DevicesConformance, SessionsConformance
from nexxus.testing.registry_kit.subscriptions import RoutesConformance, SubscriptionsConformance
from nexxus.testing.registry_kit.tenants import RestartConformance, TenantsConformance


class RegistryConformance(
    OpeningConformance,
    NodesConformance,
    DevicesConformance,
    SessionsConformance,
    ClaimsConformance,
    CountersConformance,
    FatesConformance,
    PresenceConformance,
    SubscriptionsConformance,
    RoutesConformance,
    TenantsConformance,
    RestartConformance,
):
    """What the docstrings of `Registry` promise, a test each."""


__all__ = [
    "PATIENCE",
    "TRANSPORT",
    "RegistryConformance",
    "applied",
    "eventually",
    "new_app",
    "new_node",
    "nodes_by_key",
    "route_to",
    "session_of",
    "subscription_to",
]
