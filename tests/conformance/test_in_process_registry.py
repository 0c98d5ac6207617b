"""The in-process registry keeps what every registry promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.interfaces.registry import Registry
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import RegistryConformance


class TestInProcessRegistry(RegistryConformance):
    @pytest.fixture
    async def registry(self, tmp_path: Path) -> AsyncIterator[InProcessRegistry]:
        self.data_dir = tmp_path
        registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=tmp_path, logger=Journal()
        )
        await registry.open()
        yield registry
        await registry.close()

    async def reopen(self, registry: Registry) -> Registry:
        await registry.close()
        reopened = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=self.data_dir, logger=Journal()
        )
        await reopened.open()
        return reopened


class TestInProcessRegistryWithoutMuchMemory(TestInProcessRegistry):
    """The same, with nearly everything read from the file."""

    @pytest.fixture
    async def registry(self, tmp_path: Path) -> AsyncIterator[InProcessRegistry]:
        self.data_dir = tmp_path
        settings = InProcessRegistrySettings(cached_sessions=2, cached_fates=2)
        registry = InProcessRegistry(settings, data_dir=tmp_path, logger=Journal())
        await registry.open()
        yield registry
        await registry.close()
