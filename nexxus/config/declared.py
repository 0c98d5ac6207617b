"""Declared applications: those in the configuration, validated before anything is started."""

from __future__ import annotations

from nexxus.config.config import Config
from nexxus.domain.application import parse_application
from nexxus.errors import ConfigurationError, InvalidParameters


def check_applications(config: Config) -> None:
    """Raise `ConfigurationError` for the first invalid application, naming it and its source.

    Each needs its own ``id``, by which it is found again at the next start.
    """
    seen: set[str] = set()
    for number, document in enumerate(config.applications, 1):
        name = document.get("id") or f"number {number}"
        where = f"{config.origins['applications']}: [[applications]] {name}"
        if "id" not in document:
            raise ConfigurationError(f"{where}: a declared application needs an id")
        try:
            parse_application(document)
        except InvalidParameters as error:
            raise ConfigurationError(f"{where}: {error}") from error
        if name in seen:
            raise ConfigurationError(f"{where}: this id is declared twice")
        seen.add(name)
