"""Mounts: the routes of transports on the node's HTTP ports."""

from nexxus.api.mounts.authentication import MountAuthentication, SessionAuthentication
from nexxus.api.mounts.request import MountServices
from nexxus.api.mounts.server import MountServer
from nexxus.api.mounts.table import Mounted, MountTable

__all__ = [
    "MountAuthentication",
    "MountServer",
    "MountServices",
    "MountTable",
    "Mounted",
    "SessionAuthentication",
]
