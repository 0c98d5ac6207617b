"""References to environment variables keep what every configuration provider promises."""

from collections.abc import Mapping

import pytest

from nexxus.adapters.env.config_provider import EnvironmentProvider
from nexxus.testing.config_provider_kit import ConfigProviderConformance


class TestEnvironmentProvider(ConfigProviderConformance):
    unknown = "NEXXUS_KIT_NOTHING"

    @pytest.fixture(autouse=True)
    def secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEXXUS_KIT_SECRET", "hunter2")

    def create(self) -> EnvironmentProvider:
        return EnvironmentProvider()

    def references(self) -> Mapping[str, str]:
        return {"NEXXUS_KIT_SECRET": "hunter2"}
