"""The conformance kit for `nexxus.interfaces.config_provider.ConfigProvider`.

Subclass `ConfigProviderConformance` in a test module and say what the provider's source has::

    class TestVaultProvider(ConfigProviderConformance):
        def create(self):
            return VaultProvider(VaultSettings(address=self.vault.address))

        def references(self):
            return {"db#password": "s3cret"}

        unknown = "db#missing"

A provider that loads settings overrides `settings`, one that watches sets `watches` and overrides
`change`, one with a service overrides `unreachable`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from nexxus.config import Config
from nexxus.config.report import to_toml
from nexxus.errors import ConfigurationError, StartupError
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.config_provider import ConfigProvider

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

_NAME = "conformance-kit"


class ConfigProviderConformance(ABC):
    """What every provider keeps.

    `unknown` is a reference that means nothing to the source, None for a provider that resolves
    none. `watches` says whether it notices changes.
    """

    unknown: ClassVar[str | None] = None
    watches: ClassVar[bool] = False

    @abstractmethod
    def create(self) -> ConfigProvider:
        """Return a new provider; called outside of an event loop, too."""

    def references(self) -> Mapping[str, str]:
        """Return references and what they resolve to, at least one if it resolves any."""
        return {}

    def settings(self) -> Mapping[str, Any]:
        """Return what the provider loads: section → key → value."""
        return {}

    def unreachable(self) -> ConfigProvider | None:
        """Return a provider whose source cannot be reached; None if that cannot happen."""
        return None

    async def change(self) -> None:
        """Change, in the source, something that `references` resolve to or `settings` has."""
        raise NotImplementedError("a provider that watches notices changes: override `change`")

    def _some_reference(self) -> tuple[str, str]:
        if not self.references():
            pytest.skip("the provider resolves no references")
        return next(iter(self.references().items()))

    # What it loads and resolves

    async def test_it_loads_what_its_source_has(self) -> None:
        provider = self.create()
        async with asyncio.timeout(PATIENCE):
            assert await provider.load() == self.settings()
            await provider.close()

    async def test_it_resolves_references_again_and_again(self) -> None:
        provider = self.create()
        async with asyncio.timeout(PATIENCE):
            for _ in range(2):
                for reference, secret in self.references().items():
                    assert await provider.resolve(reference) == secret
            await provider.close()

    async def test_a_reference_that_is_not_there_is_named(self) -> None:
        provider, unknown = self.create(), self.unknown or "anything"
        with pytest.raises(ConfigurationError) as caught:
            await provider.resolve(unknown)
        assert unknown.partition("#")[0] in str(caught.value)
        for secret in self.references().values():
            assert secret not in str(caught.value)
        await provider.close()

    async def test_a_source_that_cannot_be_reached_prevents_the_start(self) -> None:
        provider = self.unreachable()
        if provider is None:
            pytest.skip("the source can always be reached")
        reference, _ = next(iter(self.references().items()), ("", ""))
        with pytest.raises(StartupError):
            async with asyncio.timeout(PATIENCE):
                await (provider.resolve(reference) if reference else provider.load())
        await provider.close()

    async def test_closing_twice_is_fine_with_or_without_use(self) -> None:
        unused = self.create()
        await unused.close()
        used = self.create()
        await used.load()
        await used.close()
        await used.close()

    # In a configuration

    def test_a_configuration_gets_what_it_loads(self) -> None:
        config = self._config({"server": {"config_providers": [_NAME]}})
        origins = set(config.origins.values())
        assert (f"configuration provider {_NAME}" in origins) is bool(self.settings())

    def test_a_configuration_gets_what_a_reference_stands_for_and_never_shows_it(self) -> None:
        reference, secret = self._some_reference()
        written = f"${{{_NAME}:{reference}}}"
        config = self._config({"admin": {"key": written}})
        assert config.admin.key == secret
        shown = to_toml(config)
        assert written in shown
        assert secret not in shown

    async def test_it_can_be_asked_while_another_loop_runs(self) -> None:
        reference, secret = self._some_reference()
        config = self._config({"admin": {"key": f"${{{_NAME}:{reference}}}"}})
        assert config.admin.key == secret

    def _config(self, document: Mapping[str, Any]) -> Config:
        return Config.from_mapping(document, plugins=[_Plugin(self.create)])

    # Watching

    async def test_a_change_is_noticed_or_the_watch_ends(self) -> None:
        provider = self.create()
        changes = provider.watch(list(self.references()))
        async with asyncio.timeout(PATIENCE):
            if self.watches:
                noticed = asyncio.ensure_future(anext(changes))
                while not noticed.done():  # the first change may come before the first look
                    await self.change()
                    await asyncio.wait((noticed,), timeout=0.1)
            else:
                assert [change async for change in changes] == []
        await changes.aclose()
        await provider.close()


class _Plugin:
    """Offers the provider under the kit's name."""

    def __init__(self, create: Any) -> None:
        self._create = create

    @hookimpl
    def nexxus_config_providers(self) -> list[Adapter[Any, ConfigProvider]]:
        return [Adapter(_NAME, None, lambda *_: self._create(), interface=1)]
