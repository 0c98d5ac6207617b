"""Mounts: what transports serve on the API's port, beside the API."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from nexxus.interfaces.transport import AsgiApp


class Mounts:
    """Passes a request to the application at or above its path, and any other to the API.

    `routes` are by path. An application sees its requests as the API would: their whole path.
    """

    def __init__(self, api: ASGIApp, routes: Mapping[str, AsgiApp]) -> None:
        self._api = api
        self._routes = {path.rstrip("/"): app for path, app in routes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan."""
        app: AsgiApp | None = None
        if scope["type"] == "http":
            app = find(self._routes, path_of(scope))
        await (app or self._api)(scope, receive, send)


def find(routes: Mapping[str, AsgiApp], path: str) -> AsgiApp | None:
    """The application whose route `path` is or lies below; the longest such route's."""
    path = path.rstrip("/")
    while path:
        app = routes.get(path)
        if app is not None:
            return app
        path = path.rpartition("/")[0]
    return None


def path_of(scope: Scope) -> str:
    """The path below where the API itself is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
