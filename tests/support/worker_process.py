"""A server in a process of its own with a custom worker that can be held up, to be killed.

``python worker_process.py FOLDER PORT``: the worker waits for the file ``go`` in the folder, then
appends a line ``<id> <version>`` for each event to the file ``handled``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from killable_program import run, until_exists

from nexxus.domain.events import Event
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.worker import Worker

APPLICATION = {"id": "shop", "schema": {"item": {"number": {"type": "int"}}}}
SETTINGS: dict[str, Any] = {
    "server": {"workers": ["scribe"]},
    "applications": [APPLICATION],
}


class Scribe(Worker):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle(self, events: Sequence[Event]) -> None:
        await until_exists(self._folder / "go")
        with (self._folder / "handled").open("a") as file:
            file.writelines(f"{event.id} {event.version}\n" for event in events)


class Plugin:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("scribe", None, lambda *_: Scribe(self._folder), interface=1)]


if __name__ == "__main__":
    run(SETTINGS, Plugin)
