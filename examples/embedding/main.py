"""A Starlette application with its own route, and Nexxus mounted at /sync."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nexxus import Config, Nexxus

HELLO = {
    "id": "hello",
    "name": "Hello",
    "schema": {"greeting": {"name": {"type": "string", "filterable": True}}},
}
CONFIG = Config.from_mapping({"applications": [HELLO]})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Nexxus(CONFIG) as nexxus:
        app.mount("/sync", nexxus.app)
        # Our own routes are clients like any other, but without a network.
        transport = httpx2.ASGITransport(app=nexxus.app)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://nexxus", headers={"nxx-app-id": "hello"}
        ) as app.state.nexxus:
            yield


async def greet(request: Request) -> JSONResponse:
    greeting = {"name": request.path_params["name"]}
    answer = await request.app.state.nexxus.post(
        "/model/greeting", json=greeting, headers={"Prefer": "wait=5"}
    )
    return JSONResponse(answer.json()["data"], answer.status_code)


app = Starlette(routes=[Route("/greet/{name}", greet, methods=["POST"])], lifespan=lifespan)
