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

A registry that several processes share subclasses `SharedRegistryConformance` instead, and gives it
a fixture `open_registry`, too: a picklable callable that creates another registry on the same
storage, which the kit calls in a second process.

Every test uses applications and nodes of its own, so a shared server will do, if each test has a
schedule of pushes to itself, such as by a prefix.
"""

from nexxus.testing.registry_kit.claims import ClaimsConformance
from nexxus.testing.registry_kit.counters import CountersConformance
from nexxus.testing.registry_kit.devices import DevicesConformance
from nexxus.testing.registry_kit.fates import FatesConformance
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
from nexxus.testing.registry_kit.nodes import NodesConformance
from nexxus.testing.registry_kit.opening import OpeningConformance
from nexxus.testing.registry_kit.persistence import PersistenceConformance
from nexxus.testing.registry_kit.presence import PresenceConformance
from nexxus.testing.registry_kit.processes import ProcessesConformance
from nexxus.testing.registry_kit.pushes import PushesConformance
from nexxus.testing.registry_kit.sessions import SessionsConformance
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
    PersistenceConformance,
    PushesConformance,
    TenantsConformance,
    RestartConformance,
):
    """A test for each promise of the docstrings in `nexxus.interfaces.registry`."""


class SharedRegistryConformance(RegistryConformance, ProcessesConformance):
    """What a registry promises besides that several processes share."""


__all__ = [
    "PATIENCE",
    "TRANSPORT",
    "RegistryConformance",
    "SharedRegistryConformance",
    "applied",
    "eventually",
    "new_app",
    "new_node",
    "nodes_by_key",
    "route_to",
    "session_of",
    "subscription_to",
]
