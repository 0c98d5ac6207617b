"""What is wrong with Redis, said so that an operator can act on it."""

from __future__ import annotations

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    DataError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)

from nexxus.errors import ServiceUnavailable

FAILURES: Final = (RedisError, RedisClusterException, OSError, RuntimeError)
"""What the client library raises when Redis does not do what it was asked for.

A RuntimeError is one of uvloop's: that bytes were to be sent on a connection that had been reset.
"""

REFUSED: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
"""Waiting does not help against these."""

_PASSING: Final = ("MISCONF", "NOREPLICAS", "BUSY", "CLUSTERDOWN", "UNBLOCKED", "LOADING")


def problem_of(error: Exception) -> ServiceUnavailable | None:
    """What clients are told, None where the fault is ours."""
    said = str(error)
    # A script is refused with a text of its own, which the client library does not know.
    if isinstance(error, OutOfMemoryError) or said.startswith(("OOM", "allow-oom")):
        return ServiceUnavailable(
            "Redis is at its maxmemory and takes nothing new; raise maxmemory, or free memory"
        )
    match error:
        case DataError():
            return None
        case ReadOnlyError():
            return ServiceUnavailable(
                "Redis is a read-only replica; registry.url must lead to the primary"
            )
        case BusyLoadingError():
            return ServiceUnavailable("Redis is still reading its data from the disk")
        case AuthenticationError() | AuthorizationError() | NoPermissionError():
            return ServiceUnavailable(f"Redis refuses the user or password: {said}")
        case (
            ClusterDownError()
            | SlotNotCoveredError()
            | MasterDownError()
            | TryAgainError()
            | ClusterError()
        ):
            return ServiceUnavailable(f"the Redis cluster is down or being rearranged: {said}")
        case ResponseError():
            return ServiceUnavailable(f"Redis refuses: {said}") if _is_passing(said) else None
        case RuntimeError() if "handler is closed" not in said:
            return None
    return ServiceUnavailable(f"Redis cannot be reached: {said or type(error).__name__}")


def _is_passing(said: str) -> bool:
    return said.startswith(_PASSING)
