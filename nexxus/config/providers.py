"""Queries configuration providers, which are asynchronous, from synchronous code."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from nexxus.config.references import Reference
from nexxus.config.resolve import Resolver
from nexxus.config.sections import ServerSection
from nexxus.config.sources import Setting, from_mapping
from nexxus.errors import ConfigurationError, NexxusError, StartupError
from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.config_provider import ConfigProvider
from nexxus.observability.figures import Figures
from nexxus.observability.standard_error import StandardErrorLogger
from nexxus.plugins import AdapterKind, Catalog

T = TypeVar("T")

_WITHIN: Final = 60.0
"""Seconds that a provider may take to respond, even if its own timeout is longer."""


class Providers:
    """The providers that the configuration needs, each created at its first use.

    Their own settings come from `settings`: the file, the environment and the command line.
    They may contain references to other providers. The event loop runs in a thread, so that a
    program that embeds Nexxus may load its configuration from a coroutine.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        sections: Mapping[str, type[msgspec.Struct]],
        catalog: Catalog,
    ) -> None:
        self._catalog = catalog
        self._resolver = Resolver(settings, sections, catalog, self.resolve)
        self._providers: dict[str, ConfigProvider] = {}
        self._resolved: dict[Reference, str] = {}
        self._creating: list[str] = []
        self._ends = ExitStack()
        self._loop: _Loop | None = None
        # Even these may be references: providers that resolve them are created with the defaults.
        self._server = ServerSection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.close()

    def load(self) -> list[Setting]:
        """Return the settings of the providers that ``server.config_providers`` names."""
        self._server = self._resolver.section("server", ServerSection)
        names = self._server.config_providers
        self._resolver.check_names(AdapterKind.CONFIG_PROVIDER, names, "server.config_providers")
        provided: list[Setting] = []
        for name in names:
            provider = self._provider(name)
            loaded = self._ask(name, provider.load)
            provided += from_mapping(loaded, f"configuration provider {name}")
        return provided

    @property
    def asked(self) -> dict[str, tuple[str, ...]]:
        """The providers used so far, each with the references that it has resolved."""
        return {
            name: tuple(each.rest for each in self._resolved if each.provider == name)
            for name in self._providers
        }

    def resolve(self, reference: Reference) -> str:
        """Return the value of a reference; each reference is resolved only once.

        Raises `ConfigurationError` or `StartupError`, which names the provider and the reason.
        """
        if reference not in self._resolved:
            name = reference.provider
            if self._catalog.get(AdapterKind.CONFIG_PROVIDER, name) is None:
                known = self._catalog.names(AdapterKind.CONFIG_PROVIDER)
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigurationError(
                    f"there is no configuration provider {name!r}{hint} (installed: "
                    f"{', '.join(known)}); install the plugin that provides it"
                )
            provider = self._provider(name)
            self._resolved[reference] = self._ask(name, lambda: provider.resolve(reference.rest))
        return self._resolved[reference]

    def _provider(self, name: str) -> ConfigProvider:
        if name not in self._providers:
            if name in self._creating:
                raise ConfigurationError(
                    f"the settings of the configuration provider {name!r} refer to itself; "
                    "set them in another way, such as ${env:NAME}"
                )
            self._creating.append(name)
            try:
                settings = self._resolver.plugin(name)
            finally:
                self._creating.pop()
            context = AdapterContext(
                self._server.node, self._server.data_dir, StandardErrorLogger(), Figures()
            )
            provider: ConfigProvider = self._catalog.create(
                AdapterKind.CONFIG_PROVIDER, name, settings, context
            )
            if self._loop is None:
                self._loop = self._ends.enter_context(_Loop())
            self._ends.callback(self._ask, name, provider.close)
            self._providers[name] = provider
        return self._providers[name]

    def _ask(self, name: str, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._loop is None:
            raise RuntimeError("a provider was queried before it was created")
        try:
            return self._loop.run(question)
        except TimeoutError:
            raise StartupError(
                f"the configuration provider {name!r} did not respond within {_WITHIN:.0f} s"
            ) from None
        except ConfigurationError as error:
            raise ConfigurationError(f"the configuration provider {name!r}: {error}") from error
        except NexxusError as error:
            raise StartupError(f"the configuration provider {name!r}: {error}") from error


class _Loop:
    """An event loop in its own thread."""

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nexxus-configuration")
        self._runner = asyncio.Runner()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def run(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine and return its result. Raises `TimeoutError` after `_WITHIN`."""

        async def ask() -> T:
            async with asyncio.timeout(_WITHIN):
                return await question()

        return self._thread.submit(lambda: self._runner.run(ask())).result()
