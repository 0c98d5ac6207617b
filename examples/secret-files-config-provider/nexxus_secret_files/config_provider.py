"""The configuration provider: a folder with a file for each secret.

That is how Kubernetes and Docker hand secrets to a container. Kubernetes replaces all files of a
secret at once, by a symbolic link; a file is therefore followed anew for each look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from pathlib import Path
from typing import Final

from nexxus.errors import ConfigurationError, StartupError
from nexxus.interfaces.config_provider import ConfigProvider
from nexxus_secret_files.settings import SecretFilesSettings

LARGEST: Final = 1 << 20
"""Bytes of a secret; Kubernetes has the same limit."""


class SecretFilesProvider(ConfigProvider):
    """Resolves ``${secret-files:database/password}`` to the text of that file.

    A line break at the end of a file is not part of the secret.
    """

    def __init__(self, settings: SecretFilesSettings) -> None:
        self._folder = Path(settings.folder)
        self._interval = settings.interval

    async def resolve(self, reference: str) -> str:
        return await asyncio.to_thread(self._read, reference)

    async def watch(self, references: Collection[str]) -> AsyncGenerator[None]:
        seen = await asyncio.to_thread(self._contents, references)
        while references:
            await asyncio.sleep(self._interval)
            contents = await asyncio.to_thread(self._contents, references)
            if contents != seen:
                seen = contents
                yield

    def _contents(self, references: Collection[str]) -> dict[str, str | None]:
        """Return the secrets as they are now: None for one that cannot be read."""
        return {reference: self._read_if_there(reference) for reference in references}

    def _read_if_there(self, reference: str) -> str | None:
        try:
            return self._read(reference)
        except (ConfigurationError, StartupError):
            return None

    def _read(self, reference: str) -> str:
        file = self._file(reference)
        try:
            with file.open("rb") as opened:
                content = opened.read(LARGEST + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ConfigurationError(
                f"{self._folder} has no file {reference!r}; add it there"
            ) from error
        except OSError as error:
            raise StartupError(f"{file} cannot be read: {error.strerror}") from error
        if len(content) > LARGEST:
            raise ConfigurationError(f"{file} has more than {LARGEST} bytes, so it is no secret")
        try:
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:  # whose text would show the secret
            raise ConfigurationError(f"{file} is not UTF-8 text") from None

    def _file(self, reference: str) -> Path:
        """Return the file that a reference names, which must be within the folder."""
        if not self._folder.is_dir():
            raise StartupError(
                f"{self._folder} is not a folder; mount the secrets there, or change "
                "plugins.secret-files.folder"
            )
        parts = reference.split("/")
        if not all(parts) or {".", ".."} & {*parts} or "\0" in reference:
            raise ConfigurationError(
                f"{reference!r} is not the name of a file within {self._folder}"
            )
        return self._folder.joinpath(*parts)
