"""References to files, such as ``${file:/run/secrets/database-password}``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Collection
from pathlib import Path
from typing import Final, TypeAlias

from nexxus.errors import ConfigurationError
from nexxus.interfaces.config_provider import ConfigProvider

_MAX_BYTES: Final = 1024 * 1024

_Stamp: TypeAlias = tuple[int, int, int] | None
"""What changes with a file's content: the inode, the time and the size; None for no file."""


class FileProvider(ConfigProvider):
    """Resolves paths to the text of the files, without the line break at its end.

    A relative path starts from the working directory. It loads no settings. Watching looks at
    the files every `interval` seconds, because a secret that is mounted is often replaced by
    renaming a folder, which no event of its own announces everywhere.
    """

    def __init__(self, *, interval: float = 5.0) -> None:
        self._interval = interval

    async def resolve(self, reference: str) -> str:
        return await asyncio.to_thread(_read, Path(reference))

    async def watch(self, references: Collection[str]) -> AsyncGenerator[None]:
        seen = await asyncio.to_thread(_stamps, references)
        while True:
            await asyncio.sleep(self._interval)
            now = await asyncio.to_thread(_stamps, references)
            if now != seen:
                seen = now
                yield


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode()
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no file {path}; create it, or correct the path"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the file {path} cannot be read: {error.strerror}; let the process's user read it"
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"the file {path} is not text in UTF-8; convert it") from None
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(
            f"the file {path} is larger than {_MAX_BYTES} bytes; is it the right one?"
        )
    return text.removesuffix("\n").removesuffix("\r")


def _stamps(paths: Collection[str]) -> list[_Stamp]:
    return [_stamp(path) for path in paths]


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
