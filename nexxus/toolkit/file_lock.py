"""A lock file, which lets one process at a time use a file or folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nexxus.errors import StartupError

if sys.platform == "win32":  # pragma: no cover - the tests run on POSIX
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock that ends with the process, even if it is killed.

    The file is not removed: otherwise two processes could lock two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `StartupError` if it is held or the file cannot be created."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(
                f"{self._path} cannot be made ({error.strerror}); "
                "make its folder writable for this user, or choose another data directory"
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise StartupError(
                f"{self._path.with_suffix('')} is in use by another process, which holds "
                f"{self._path.name}; stop that one, or give this one a data directory of its own"
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock. Does nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
