"""The chat server: Nexxus at /sync, the page, and the small browser client from Nexxus."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from nexxus import Config, Nexxus
from nexxus.demo.site import STATIC

HERE = Path(__file__).parent
CONFIG = Config.from_mapping(
    {"applications": [json.loads((HERE / "application.json").read_text())]}
)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Nexxus(CONFIG) as nexxus:
        # Before the page, which serves all other paths.
        app.router.routes.insert(0, Mount("/sync", nexxus.app))
        yield


async def client(_: object) -> FileResponse:
    return FileResponse(STATIC / "nexxus.js", media_type="text/javascript")


app = Starlette(
    routes=[
        Route("/nexxus.js", client),
        Mount("/", StaticFiles(directory=HERE / "static", html=True)),
    ],
    lifespan=lifespan,
)
