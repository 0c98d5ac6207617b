"""The transports of one node share its ports."""

from __future__ import annotations

from typing import Any

import pytest

from nexxus.errors import ConfigurationError
from nexxus.interfaces.transport import Transport
from nexxus.server.transports import Transports


class Serving(Transport):
    """A transport that serves some paths."""

    def __init__(self, *paths: str) -> None:
        self.apps: dict[str, Any] = dict.fromkeys(paths, self)

    @property
    def http_routes(self) -> dict[str, Any]:
        return self.apps

    @property
    def websocket_routes(self) -> dict[str, Any]:
        return self.apps

    async def start(self, host: Any) -> None: ...

    async def stop(self) -> None: ...


def test_what_several_transports_serve_is_served_together() -> None:
    one, two = Serving("/a", "/b"), Serving("/c")
    transports = Transports({"one": one, "two": two}, {})
    assert transports.http_routes == {"/a": one, "/b": one, "/c": two}


@pytest.mark.parametrize("kind", ["http_routes", "websocket_routes"])
def test_two_transports_on_one_path_are_refused_by_name(kind: str) -> None:
    transports = Transports({"one": Serving("/a"), "two": Serving("/a")}, {})
    with pytest.raises(ConfigurationError, match="'one' and 'two' both serve /a"):
        getattr(transports, kind)
