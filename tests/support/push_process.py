"""A server in a process of its own with a push service that can be held up, to be killed.

``python push_process.py FOLDER PORT``: events wait for the file ``route`` in the folder before they
are routed. The service waits for the file ``go``, then appends a line ``<token> <title>`` for each
push to the file ``pushed``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from killable_program import run, until_exists

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.broker import TRANSPORT_MANAGER, Consumer, Group
from nexxus.interfaces.push_service import Push, PushOutcome, PushService, Sent

APPLICATION = {
    "id": "post",
    "schema": {"letter": {"title": {"type": "string"}}},
    "push": {"letter": {"title": "{title}", "body": "", "on": ["created"], "quiet": 0}},
}
SETTINGS: dict[str, Any] = {
    "push": {"services": ["post"]},
    "broker": {"adapter": "held"},
    "applications": [APPLICATION],
}


class PostService(PushService):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        return dict(address)

    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        await until_exists(self._folder / "go")
        with (self._folder / "pushed").open("a") as file:
            file.writelines(f"{push.address['token']} {push.message.title}\n" for push in pushes)
        return [Sent()] * len(pushes)


class HeldRouting(InProcessBroker):
    def __init__(self, folder: Path) -> None:
        super().__init__(InProcessBrokerSettings())
        self._folder = folder

    async def consume(self, group: Group[Any], **options: Any) -> Consumer[Any]:
        if group == TRANSPORT_MANAGER:
            await until_exists(self._folder / "route")
        return await super().consume(group, **options)


class Plugin:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @hookimpl
    def nexxus_push_services(self) -> list[Adapter]:
        return [Adapter("post", None, lambda *_: PostService(self._folder), interface=1)]

    @hookimpl
    def nexxus_brokers(self) -> list[Adapter]:
        held = HeldRouting(self._folder)
        return [Adapter("held", None, lambda *_: held, interface=1, scope="process")]


if __name__ == "__main__":
    run(SETTINGS, Plugin)
