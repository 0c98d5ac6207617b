"""The table of mounts by path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nexxus.errors import ConfigurationError
from nexxus.interfaces.mounts import HttpMount, WebSocketMount
from nexxus.interfaces.transport import TransportHost


class Mounted(NamedTuple):
    """A mount, and the host of the transport that it belongs to."""

    mount: HttpMount | WebSocketMount
    host: TransportHost


class MountTable:
    """The mounts of one port by path, for HTTP and for WebSockets.

    On the gateway's own port (`is_gateways`), some WebSockets have other paths. Raises
    `ConfigurationError` if two transports serve the same path in the same way.
    """

    def __init__(self, mounted: Iterable[Mounted], *, is_gateways: bool = False) -> None:
        self.http: dict[str, Mounted] = {}
        self.web_sockets: dict[str, Mounted] = {}
        for each in mounted:
            if isinstance(each.mount, HttpMount):
                _add(self.http, each.mount.path, each)
            else:
                path = (is_gateways and each.mount.gateway_path) or each.mount.path
                _add(self.web_sockets, path, each)


def _add(table: dict[str, Mounted], path: str, mounted: Mounted) -> None:
    bare = path.rstrip("/")
    for spelling in (bare, f"{bare}/"):
        present = table.setdefault(spelling, mounted)
        if present is not mounted:
            raise ConfigurationError(
                f"gateway.transports: {present.host.transport!r} and {mounted.host.transport!r} "
                f"both serve {path}; remove one of them, or change its path"
            )
