"""What the servers have in common that run in processes of their own, to be killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from nexxus import Config, Nexxus


def run(settings: dict[str, Any], plugin: Callable[[Path], Any]) -> None:
    """Serve as ``python <program> FOLDER PORT`` says, with the plugin that the folder makes."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    data_dir = {"data_dir": str(folder / "data")}
    whole = {**settings, "server": {**settings.get("server", {}), **data_dir}}
    asyncio.run(_serve(Config.from_mapping(whole, plugins=[plugin(folder)]), port))


async def until_exists(file: Path) -> None:
    """Wait until another process has made a file."""
    while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.01)


async def _serve(config: Config, port: int) -> None:
    async with Nexxus(config) as nexxus:
        await uvicorn.Server(
            uvicorn.Config(nexxus.app, port=port, log_level="warning", lifespan="off")
        ).serve()
