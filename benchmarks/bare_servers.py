"""The references: the least that a server of our kind could be.

    python benchmarks/bare_servers.py http PORT
    python benchmarks/bare_servers.py echo PORT

``http`` is a Starlette endpoint under uvicorn (uvloop, httptools) that parses a JSON body and
answers as a write is answered; ``echo`` is a uvloop server that sends back what it gets.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast


def serve_http(port: int) -> None:
    """Starlette under uvicorn, its access log off."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def create(request: Request) -> JSONResponse:
        body = await request.json()
        answer = {"id": "0190", "type": request.path_params["type"], "fields": len(body)}
        return JSONResponse({"message": "create accepted", "data": answer}, status_code=202)

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    app = Starlette(
        routes=[Route("/model/{type}", create, methods=["POST"]), Route("/readyz", ready)]
    )
    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve_echo(port: int) -> None:
    """Serve until the process is told to stop."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Serve what the command line says."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "http":
        serve_http(port)
    else:
        import uvloop

        uvloop.run(serve_echo(port))


if __name__ == "__main__":
    main()
