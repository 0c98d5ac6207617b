"""The gateway: connections, frames, delivery, resuming."""

from nexxus.gateway.asgi import GatewayApp
from nexxus.gateway.counters import Counters
from nexxus.gateway.devices import DeviceView
from nexxus.gateway.gateway import Gateway
from nexxus.gateway.presences import TRANSPORT
from nexxus.gateway.protocol import websocket_protocol
from nexxus.gateway.seams import (
    AdoptSubscriptions,
    ClientActions,
    DeviceNotFound,
    SessionHasEnded,
    TokenClaims,
)
from nexxus.gateway.settings import GatewaySettings

__all__ = [
    "TRANSPORT",
    "AdoptSubscriptions",
    "ClientActions",
    "Counters",
    "DeviceNotFound",
    "DeviceView",
    "Gateway",
    "GatewayApp",
    "GatewaySettings",
    "SessionHasEnded",
    "TokenClaims",
    "websocket_protocol",
]
