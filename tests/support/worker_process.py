"""A server in a process of its own with a custom worker that can be held up, to be killed.

``python worker_process.py FOLDER PORT``: the worker waits for the file ``go`` in the folder, then
appends a line ``<id> <version>`` for each event to the file ``handled``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from nexxus import Config, Nexxus
from nexxus.domain.events import Event
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.worker import Worker

APPLICATION = {"id": "shop", "schema": {"item": {"number": {"type": "int"}}}}


class Scribe(Worker):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle(self, events: Sequence[Event]) -> None:
        while not (self._folder / "go").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        with (self._folder / "handled").open("a") as file:
            file.writelines(f"{event.id} {event.version}\n" for event in events)


class Plugin:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("scribe", None, lambda *_: Scribe(self._folder), interface=1)]


async def main(folder: Path, port: int) -> None:
    settings: dict[str, Any] = {
        "server": {"data_dir": str(folder / "data"), "workers": ["scribe"]},
        "applications": [APPLICATION],
    }
    config = Config.from_mapping(settings, plugins=[Plugin(folder)])
    async with Nexxus(config) as nexxus:
        await uvicorn.Server(
            uvicorn.Config(nexxus.app, port=port, log_level="warning", lifespan="off")
        ).serve()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
