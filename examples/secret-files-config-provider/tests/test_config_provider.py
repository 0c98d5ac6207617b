"""The configuration provider keeps what every provider promises, and reads nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from nexxus.errors import ConfigurationError
from nexxus.testing.config_provider_kit import ConfigProviderConformance
from nexxus_secret_files.config_provider import LARGEST, SecretFilesProvider
from nexxus_secret_files.settings import SecretFilesSettings


class TestSecretFilesProvider(ConfigProviderConformance):
    unknown = "database/nothing"
    watches = True

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        """Files behind a link that is replaced, as Kubernetes mounts them."""
        self.root = tmp_path
        self.folder = tmp_path / "mounted"
        self.folder.mkdir()
        self.versions = itertools.count()
        (self.folder / "database").symlink_to("..data")
        self.put("hunter2\n")

    def put(self, secret: str) -> None:
        version = self.root / f"version-{next(self.versions)}"
        version.mkdir()
        (version / "password").write_text(secret)
        link = self.folder / "..data_tmp"
        link.symlink_to(version)
        link.replace(self.folder / "..data")

    def create(self) -> SecretFilesProvider:
        return SecretFilesProvider(SecretFilesSettings(folder=str(self.folder), interval=0.01))

    def references(self) -> Mapping[str, str]:
        return {"database/password": "hunter2"}

    def unreachable(self) -> SecretFilesProvider:
        return SecretFilesProvider(SecretFilesSettings(folder=str(self.root / "not-mounted")))

    async def change(self) -> None:
        self.put(f"hunter{next(self.versions)}")

    @pytest.mark.parametrize(
        "reference",
        ["../version-0/password", "database/../../x", "/etc/passwd", "", "database//password"],
    )
    async def test_a_file_elsewhere_cannot_be_referred_to(self, reference: str) -> None:
        with pytest.raises(ConfigurationError, match="is not the name of a file within"):
            await self.create().resolve(reference)

    @pytest.mark.parametrize("content", [b"hunter2\xff", b"hunter2" + b"x" * LARGEST])
    async def test_what_is_no_secret_is_refused_without_being_shown(self, content: bytes) -> None:
        (self.folder / "image").write_bytes(content)
        with pytest.raises(ConfigurationError) as refused:
            await self.create().resolve("image")
        assert "hunter2" not in str(refused.value)

    async def test_only_one_line_break_at_the_end_is_cut_off(self) -> None:
        self.put(" two\nlines\n\n")
        assert await self.create().resolve("database/password") == " two\nlines\n"
