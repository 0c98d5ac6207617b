"""The registry: what every node must agree on, as nine small stores."""

from nexxus.interfaces.registry.claims import ClaimStore
from nexxus.interfaces.registry.counters import CounterStore
from nexxus.interfaces.registry.devices import Device, DeviceStore, PushAddress
from nexxus.interfaces.registry.fates import FateStore
from nexxus.interfaces.registry.nodes import Node, NodeStore
from nexxus.interfaces.registry.presence import LOOK_EVERY, Presence, PresenceStore
from nexxus.interfaces.registry.pushes import MAX_NOTICES, RESYNC_WITHIN, DuePush, PushStore
from nexxus.interfaces.registry.registry import Registry
from nexxus.interfaces.registry.sessions import Session, SessionStore
from nexxus.interfaces.registry.subscriptions import (
    PARTITIONS,
    Placement,
    RouteChanges,
    RouteState,
    SubscriptionStore,
    partition_of,
)

__all__ = [
    "LOOK_EVERY",
    "MAX_NOTICES",
    "PARTITIONS",
    "RESYNC_WITHIN",
    "ClaimStore",
    "CounterStore",
    "Device",
    "DeviceStore",
    "DuePush",
    "FateStore",
    "Node",
    "NodeStore",
    "Placement",
    "Presence",
    "PresenceStore",
    "PushAddress",
    "PushStore",
    "Registry",
    "RouteChanges",
    "RouteState",
    "Session",
    "SessionStore",
    "SubscriptionStore",
    "partition_of",
]
