"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_secret_files.settings import SecretFilesSettings

if TYPE_CHECKING:
    from nexxus.interfaces.config_provider import ConfigProvider


def create(settings: SecretFilesSettings, context: AdapterContext) -> ConfigProvider:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_secret_files.config_provider import SecretFilesProvider

    return SecretFilesProvider(settings)


@hookimpl
def nexxus_config_providers() -> list[Adapter[Any, ConfigProvider]]:
    return [
        Adapter(
            "secret-files",
            SecretFilesSettings,
            create,
            interface=1,
            summary="secrets from a folder with a file for each",
        )
    ]
