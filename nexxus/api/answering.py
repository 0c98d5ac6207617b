"""Answering: what all responses of a port have in common."""

from __future__ import annotations

import re
import time
from random import getrandbits
from typing import Any, Final

from starlette.types import Scope, Send

from nexxus.api.errors import to_answer
from nexxus.api.metrics import HttpMetrics
from nexxus.api.responses import Answer, AnyAnswer, Raw, encode
from nexxus.errors import MethodNotAllowed, ServerError, WireError
from nexxus.interfaces.logger import Logger

GONE: Final = 499
"""The status in metrics for a request whose client did not wait for the response."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_NO_CONTENT: Final = 204
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class Answering:
    """Adds common headers to responses, converts errors to responses, and measures requests."""

    def __init__(self, *, metrics: HttpMetrics, logger: Logger, hsts_max_age: int) -> None:
        self.metrics = metrics
        self.logger = logger
        self._hsts_max_age = hsts_max_age
        self._hsts = (b"strict-transport-security", f"max-age={hsts_max_age}".encode())

    def headers(self, scope: Scope, request_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers that every response has."""
        headers = [(b"x-request-id", request_id), _NO_SNIFF]
        if scope.get("scheme") == "https" and self._hsts_max_age:
            headers.append(self._hsts)
        return headers

    async def send(
        self,
        scope: Scope,
        send: Send,
        request_headers: dict[bytes, bytes],
        answer: AnyAnswer,
        request_id: bytes,
    ) -> None:
        """Send a complete response."""
        body, media_type = encode(answer, request_headers.get(b"accept"))
        headers = [*self.headers(scope, request_id), *answer.headers]
        if answer.status != _NO_CONTENT:
            headers.append((b"content-type", media_type))
            headers.append((b"content-length", str(len(body)).encode()))
        if isinstance(answer, Answer):
            headers.append(_NO_STORE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    def refuse(self, error: WireError, method: str, request_id: bytes) -> AnyAnswer:
        """Return the response for an error."""
        if method == "OPTIONS" and isinstance(error, MethodNotAllowed):
            allow = ", ".join(sorted({*error.allow, "OPTIONS"}))
            return Raw(200, b"", b"text/plain; charset=utf-8", ((b"allow", allow.encode()),))
        return to_answer(error, request_id.decode())

    def log_and_hide(
        self, error: Exception, method: str, route: str, request_id: bytes
    ) -> Answer[Any]:
        """Log an unexpected error, and return a response that reveals nothing about it."""
        self.logger.error(
            "a request failed",
            error=error,
            method=method,
            route=route,
            requestId=request_id.decode(),
        )
        hidden = ServerError("an unexpected error occurred; the server's log has the details")
        return to_answer(hidden, request_id.decode())

    def observe(self, method: str, route: str, status: int, started: float) -> None:
        """Measure one request; `started` is its start by `time.perf_counter`."""
        known = method if method in _METHODS else "OTHER"
        self.metrics.observe(known, route, status, time.perf_counter() - started)


def request_id_of(headers: dict[bytes, bytes]) -> bytes:
    """Return the id that the client gave the request, or a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return b"%024x" % getrandbits(96)  # need not be secret, which saves a system call


def path_of(scope: Scope) -> str:
    """Return the path relative to where the API is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
