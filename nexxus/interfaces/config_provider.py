"""Configuration providers: settings that come from elsewhere, such as a vault."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class ConfigProvider(ABC):
    """A source of configuration, above the file and below the environment."""

    @abstractmethod
    async def load(self) -> Mapping[str, Any]:
        """The settings that it has: section → key → value, as they would stand in the file.

        Called once at start, before anything else is opened, in an event loop of its own.
        Connects and lets go within the call. Sections and keys that it does not set are left
        out. Raises `ConfigurationError` when what it finds is wrong, `StartupError` when it
        cannot be reached in its own time limit; either names the provider's address.
        """
