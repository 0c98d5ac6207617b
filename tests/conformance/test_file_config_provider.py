"""References to files keep what every configuration provider promises."""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from nexxus.adapters.file.config_provider import FileProvider
from nexxus.testing.config_provider_kit import ConfigProviderConformance


class TestFileProvider(ConfigProviderConformance):
    unknown = "/nexxus-kit/nothing"
    watches = True

    @pytest.fixture(autouse=True)
    def secret(self, tmp_path: Path) -> None:
        self.path = tmp_path / "secret"
        self.path.write_text("hunter2\n")

    def create(self) -> FileProvider:
        return FileProvider(interval=0.01)

    def references(self) -> Mapping[str, str]:
        return {str(self.path): "hunter2"}

    async def change(self) -> None:
        self.path.write_text(uuid4().hex)
