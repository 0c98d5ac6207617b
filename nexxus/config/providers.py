"""Asks configuration providers, which are asynchronous, from code that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nexxus.interfaces.config_provider import ConfigProvider


def ask(provider: ConfigProvider) -> Mapping[str, Any]:
    """What a provider has, waiting for it in an event loop of its own.

    The loop runs in a thread, so that an embedder may load its configuration from a coroutine.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="nexxus-configuration") as thread:
        return thread.submit(lambda: asyncio.run(_load(provider))).result()


async def _load(provider: ConfigProvider) -> Mapping[str, Any]:
    return await provider.load()
