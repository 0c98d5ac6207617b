"""The registry: what every node must agree on, as eight small stores."""

from nexxus.interfaces.registry.claims import ClaimStore
from nexxus.interfaces.registry.counters import CounterStore
from nexxus.interfaces.registry.devices import Device, DeviceStore
from nexxus.interfaces.registry.fates import FateStore
from nexxus.interfaces.registry.nodes import Node, NodeStore
from nexxus.interfaces.registry.presence import Presence, PresenceStore
from nexxus.interfaces.registry.registry import Registry
from nexxus.interfaces.registry.sessions import Session, SessionStore
from nexxus.interfaces.registry.subscriptions import (
    Placement,
    RouteChanges,
    RouteState,
    SubscriptionStore,
)

__all__ = [
    "ClaimStore",
    "CounterStore",
    "Device",
    "DeviceStore",
    "FateStore",
    "Node",
    "NodeStore",
    "Placement",
    "Presence",
    "PresenceStore",
    "Registry",
    "RouteChanges",
    "RouteState",
    "Session",
    "SessionStore",
    "SubscriptionStore",
]
