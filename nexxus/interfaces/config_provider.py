"""Configuration providers: settings and secrets that come from elsewhere, such as a vault."""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any

from nexxus.errors import ConfigurationError


class ConfigProvider(ABC):  # noqa: B024 - each provider implements what its source offers
    """A source of configuration, which loads settings, resolves references, or both.

    At the start, before anything else is opened, one instance is called in a separate event loop:
    `load` first if ``server.config_providers`` names the provider, then `resolve` for each
    reference, one call at a time; `close` comes last. While the server runs, another instance
    `watch`es in the server's event loop.

    Every method limits the time that it waits for its source. It raises `ConfigurationError` if
    what it finds is wrong, and `StartupError` if the source cannot be reached; the message names
    the source's address and how to fix it, never a secret.
    """

    async def load(self) -> Mapping[str, Any]:
        """Return the settings: section → key → value, as in the configuration file.

        They override the file, and the environment overrides them. Sections and keys that the
        provider does not set are left out.
        """
        return {}

    async def resolve(self, reference: str) -> str:
        """Return the text that stands for a reference: for ``${vault:db#password}``, what the
        provider ``vault`` knows as ``db#password``.

        Called once for each distinct reference. The result may be a secret: Nexxus shows the
        reference instead of it wherever it shows the configuration.
        """
        raise ConfigurationError(f"it resolves no references, so {reference!r} means nothing to it")

    async def watch(self, references: Collection[str]) -> AsyncGenerator[None]:  # noqa: ARG002
        """Yield whenever what `load` returns, or what `references` resolve to, may have changed.

        Nexxus then loads the configuration again and compares. A generator that ends, as this one
        does immediately, stops watching. It is closed when the server stops.
        """
        return
        yield

    async def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release whatever is held; may be called twice."""
