"""A plugin for tests: a push service that appends what it is given to a file of the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nexxus.errors import InvalidParameters
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.push_service import Push, PushOutcome, PushService, Sent


class PostService(PushService):
    """Addresses are ``{"token": …}``. A line is ``{"token": …, "data": …, "title": …}``."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pushes.jsonl"

    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(address.get("token"), str):
            raise InvalidParameters("push.token: expected a string", {"field": "push.token"})
        return dict(address)

    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        with self._path.open("ab") as file:
            for push in pushes:
                message = push.message
                line = {**push.address, "data": message.data, "title": message.title}
                file.write(msgspec.json.encode(line) + b"\n")
        return [Sent()] * len(pushes)


def _create(_: Any, context: AdapterContext) -> PostService:
    return PostService(context.data_dir)


@hookimpl
def nexxus_push_services() -> list[Adapter]:
    return [Adapter("post", None, _create, interface=1, summary="appends every push to a file")]
