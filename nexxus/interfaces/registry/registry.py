"""The registry and its life cycle."""

from __future__ import annotations

from abc import ABC, abstractmethod

from nexxus.interfaces.registry.claims import ClaimStore
from nexxus.interfaces.registry.counters import CounterStore
from nexxus.interfaces.registry.devices import DeviceStore
from nexxus.interfaces.registry.fates import FateStore
from nexxus.interfaces.registry.nodes import NodeStore
from nexxus.interfaces.registry.presence import PresenceStore
from nexxus.interfaces.registry.pushes import PushStore
from nexxus.interfaces.registry.sessions import SessionStore
from nexxus.interfaces.registry.subscriptions import SubscriptionStore


class Registry(ABC):
    """What every node must agree on, one attribute per store.

    Every store but `nodes` keeps applications apart: the same id in two applications names two
    things. Devices, sessions, persistent subscriptions, pushes, fates and claims survive a restart
    of the process; nodes, presence, other subscriptions and counters need not.

    Every method of every store may be called concurrently, and raises `ServiceUnavailable` when
    the registry cannot answer. A call that failed in this way may or may not have taken effect;
    unless its docstring says otherwise, it may be repeated.
    """

    nodes: NodeStore
    devices: DeviceStore
    sessions: SessionStore
    presence: PresenceStore
    subscriptions: SubscriptionStore
    pushes: PushStore
    fates: FateStore
    claims: ClaimStore
    counters: CounterStore

    @abstractmethod
    async def open(self) -> None:
        """Connect to the storage.

        Raises `ServiceUnavailable` if it cannot be reached now, and `StartupError` if waiting
        would not help.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what is pending and release all connections and files; may be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the registry answers; raise `ServiceUnavailable` otherwise."""

    @abstractmethod
    async def drop(self, app_id: str) -> None:
        """Remove everything that belongs to an application.

        Versions of its routes keep growing, so that transport managers notice.
        """
