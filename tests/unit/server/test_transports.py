"""The transports of one node share its ports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nexxus.api.mounts import MountTable
from nexxus.errors import ConfigurationError
from nexxus.interfaces.mounts import HttpMount, WebSocketMount
from nexxus.interfaces.transport import Transport
from nexxus.server.transports import Transports


class Serving(Transport):
    """A transport with mounts at some paths."""

    def __init__(self, *mounts: HttpMount | WebSocketMount) -> None:
        self._mounts = mounts

    @property
    def mounts(self) -> Any:
        return self._mounts

    async def start(self, host: Any) -> None: ...

    async def stop(self) -> None: ...


async def handler(request: Any) -> None: ...


def listener(*_: Any) -> Any: ...


def transports(**given: Transport) -> Transports:
    hosts: dict[str, Any] = {name: SimpleNamespace(transport=name) for name in given}
    return Transports(given, hosts)


def test_the_mounts_of_several_transports_are_served_together() -> None:
    both = transports(
        one=Serving(HttpMount("/a", handler), WebSocketMount("/a", listener)),
        two=Serving(HttpMount("/b/", handler)),
    )

    table = MountTable(both.mounted)

    assert sorted(table.http) == ["/a", "/a/", "/b", "/b/"]
    assert table.http["/b"].host.transport == "two"
    assert sorted(table.web_sockets) == ["/a", "/a/"]


def test_a_web_socket_may_have_another_path_on_the_gateways_port() -> None:
    one = transports(one=Serving(WebSocketMount("/ws", listener, gateway_path="/")))

    assert sorted(MountTable(one.mounted).web_sockets) == ["/ws", "/ws/"]
    assert sorted(MountTable(one.mounted, is_gateways=True).web_sockets) == ["", "/"]


@pytest.mark.parametrize("mount", [HttpMount("/a", handler), WebSocketMount("/a", listener)])
def test_two_transports_with_the_same_path_are_refused_by_name(mount: Any) -> None:
    both = transports(one=Serving(mount), two=Serving(mount))

    with pytest.raises(ConfigurationError, match="'one' and 'two' both serve /a"):
        MountTable(both.mounted)
