"""Waiting for a state, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 20.0
"""Seconds after which a promised state counts as never reached; only a failure takes so long."""


async def eventually(
    check: Callable[[], Any] | Callable[[], Awaitable[Any]], *, patience: float = PATIENCE
) -> Any:
    """Return the first true value of `check`; an `AssertionError` of its own is tried again."""
    deadline = time.monotonic() + patience
    while True:
        failure: AssertionError | None = None
        try:
            value = check()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not so within {patience:g} s: {check}")
        await asyncio.sleep(0.02)
