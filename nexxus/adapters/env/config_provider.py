"""References to environment variables, such as ``${env:DATABASE_PASSWORD}``."""

from __future__ import annotations

import os

from nexxus.errors import ConfigurationError
from nexxus.interfaces.config_provider import ConfigProvider


class EnvironmentProvider(ConfigProvider):
    """Resolves the names of the process's environment variables. It loads no settings.

    ``NEXXUS_<SECTION>__<KEY>`` needs no provider: those variables are settings themselves.
    """

    async def resolve(self, reference: str) -> str:
        value = os.environ.get(reference)
        if value is None:
            raise ConfigurationError(
                f"the environment variable {reference} is not set; set it for the process, or "
                "write a value instead of the reference"
            )
        return value
