"""The admin key: configured, or made at the first start and kept in the data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nexxus.errors import StartupError

FILE_NAME = "admin.key"


def load_admin_key(data_dir: Path) -> str:
    """The key in the data directory's ``admin.key``; made (mode 0600) where there is none."""
    path = data_dir / FILE_NAME
    try:
        key = path.read_text().strip()
        if key:
            return key
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StartupError(f"the admin key in {path} cannot be read: {error.strerror}") from error
    key = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key}\n")
    except OSError as error:
        raise StartupError(f"the admin key cannot be kept in {path}: {error.strerror}") from error
    return key


def prepare_data_dir(data_dir: Path) -> None:
    """Make the data directory where it is missing; `StartupError` where it cannot be used."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"the data directory {data_dir} cannot be used: {error.strerror}; "
            "choose another with --data-dir"
        ) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise StartupError(
            f"the data directory {data_dir} cannot be written to; "
            "fix its permissions, or choose another with --data-dir"
        )
