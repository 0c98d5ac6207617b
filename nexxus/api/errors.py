"""Converts errors to responses."""

from __future__ import annotations

from typing import Any, Final

from nexxus.api.responses import Answer
from nexxus.errors import MethodNotAllowed, PayloadTooLarge, TooManyRequests, WireError

_UNAUTHORIZED: Final = 401


def to_answer(error: WireError, request_id: str) -> Answer[dict[str, Any]]:
    """Return the response for an error, with the headers that some errors need."""
    body = error.to_wire()
    body["requestId"] = request_id
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode()))
    elif isinstance(error, TooManyRequests):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    elif isinstance(error, PayloadTooLarge):
        # The rest of the upload is not read, so the connection cannot be used again.
        headers.append((b"connection", b"close"))
    elif error.status == _UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.operation_id is not None:
        headers.append((b"nxx-operation-id", error.operation_id.encode()))
    return Answer(error.status, body, headers)
