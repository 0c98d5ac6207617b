"""The gateway: connections, frames, delivery and resuming, for every transport."""

from nexxus.gateway.devices.resident import DeviceView
from nexxus.gateway.figures import GatewayFigures
from nexxus.gateway.gateway import Gateway
from nexxus.gateway.seams import ClientActions, TokenClaims
from nexxus.gateway.settings import GatewaySettings

__all__ = [
    "ClientActions",
    "DeviceView",
    "Gateway",
    "GatewayFigures",
    "GatewaySettings",
    "TokenClaims",
]
