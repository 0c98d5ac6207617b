"""Explains Elasticsearch's errors, with their fixes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elastic_transport import ConnectionTimeout, TlsError, TransportError
from elasticsearch import ApiError

from nexxus.errors import ServiceUnavailable

WRITE_BLOCK = "index write (api)"
_FLOOD_STAGE = "read-only-allow-delete"


@contextmanager
def unavailable() -> Iterator[None]:
    """Raise what the client raises as `ServiceUnavailable` that says what to do."""
    try:
        yield
    except (ApiError, TransportError) as error:
        raise ServiceUnavailable(describe(error)) from error


def describe(error: ApiError | TransportError) -> str:
    """Return a readable message for an error of the client."""
    if isinstance(error, ApiError):
        return explain(error.meta.status, *cause_of(error))
    if isinstance(error, ConnectionTimeout):
        return "Elasticsearch did not answer within database.request_timeout; is it overloaded?"
    if isinstance(error, TlsError):
        return f"Elasticsearch's certificate is not accepted ({error}); see database.ca_file"
    return f"Elasticsearch is away ({error}); start it, or correct database.urls"


def cause_of(error: ApiError) -> tuple[str, str]:
    """The type and the reason that an answer tells, of what caused it in the first place."""
    told = error.body.get("error") if isinstance(error.body, dict) else None
    if not isinstance(told, dict):
        return "", str(told or error.message)
    causes = told.get("root_cause") or [told]
    cause: dict[str, Any] = causes[0]
    return str(cause.get("type", "")), str(cause.get("reason", ""))


def explain(status: int, kind: str, reason: str) -> str:
    """Return a readable message for a refusal: what Elasticsearch said, and the fix."""
    said = f"Elasticsearch answered {status} {kind}: {reason[:500]}"
    fix = _fix(status, kind, reason)
    return f"{said}; {fix}" if fix else said


def _fix(status: int, kind: str, reason: str) -> str:
    if _FLOOD_STAGE in reason:
        return (
            "a disk is nearly full and its indices are read-only: free space or add a node, and "
            "Elasticsearch lifts the block by itself"
        )
    if WRITE_BLOCK in reason:
        return (
            "writes are blocked: if nobody did that on purpose, a rebuild was interrupted; restart "
            "a node of Nexxus to finish it"
        )
    match status, kind:
        case 401, _:
            return "correct database.api_key, or database.username and database.password"
        case 403, "security_exception":
            return (
                "give this user the privilege 'manage' on its indices and 'monitor' on the cluster"
            )
        case _, "cluster_block_exception" | "master_not_discovered_exception":
            return "the cluster is not in working order: see GET _cluster/health"
        case (
            _,
            "unavailable_shards_exception"
            | "no_shard_available_action_exception"
            | "search_phase_execution_exception",
        ):
            return "a shard is missing: see GET _cluster/allocation/explain"
        case _, "circuit_breaking_exception":
            return "its heap is full: ask less of it, or give it more"
        case 429, _:
            return "it is overloaded"
        case _:
            return ""
