"""Detects that the configuration has changed since the process was started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing

from nexxus.config import Config
from nexxus.errors import ConfigurationError, StartupError
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.config_provider import ConfigProvider
from nexxus.plugins import AdapterKind


class ConfigurationWatch:
    """Reloads the configuration on SIGHUP, and when a provider reports a change.

    Logs the keys that a restart would change, or why the configuration could not be loaded. It is
    not applied. `running` is the effective configuration; `load` loads it again and may block.
    """

    def __init__(
        self, running: Config, load: Callable[[], Config], context: AdapterContext
    ) -> None:
        self._running = running
        self._load = load
        self._context = context
        self._logger = context.logger
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._changed.set)
        try:
            async with asyncio.TaskGroup() as group:
                for name, references in self._running.providers.items():
                    group.create_task(self._watch(name, references))
                while True:
                    await self._changed.wait()
                    self._changed.clear()
                    await self._look()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _watch(self, name: str, references: tuple[str, ...]) -> None:
        catalog, settings = self._running.catalog, self._running.plugins.get(name)
        try:
            provider: ConfigProvider = catalog.create(
                AdapterKind.CONFIG_PROVIDER, name, settings, self._context
            )
            try:
                async with aclosing(provider.watch(references)) as changes:
                    async for _ in changes:
                        self._changed.set()
            finally:
                await provider.close()
        except Exception as error:  # whatever a plugin raises, the server continues without it
            self._logger.error(
                "a configuration provider is no longer watched", provider=name, error=error
            )

    async def _look(self) -> None:
        from nexxus.config.report import changed_keys

        try:
            present = await asyncio.to_thread(self._load)
        except (ConfigurationError, StartupError) as error:
            self._logger.error(
                "the configuration was reloaded and is invalid; a restart would fail",
                reason=str(error),
            )
            return
        keys = changed_keys(self._running, present)
        if keys:
            self._logger.warning(
                "the configuration has changed; restart this node to apply it", keys=keys
            )
        else:
            self._logger.info("the configuration was reloaded; nothing has changed")
