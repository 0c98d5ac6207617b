"""The gateway: connections, frames, delivery, resuming, whatever the transport is."""

from nexxus.gateway.counters import Counters
from nexxus.gateway.devices import DeviceView
from nexxus.gateway.gateway import Gateway
from nexxus.gateway.seams import (
    AdoptSubscriptions,
    ClientActions,
    DeviceNotFound,
    SessionHasEnded,
    TokenClaims,
)
from nexxus.gateway.settings import GatewaySettings

__all__ = [
    "AdoptSubscriptions",
    "ClientActions",
    "Counters",
    "DeviceNotFound",
    "DeviceView",
    "Gateway",
    "GatewaySettings",
    "SessionHasEnded",
    "TokenClaims",
]
