"""Checks, before anything starts, that a process's roles can work with its adapters."""

from __future__ import annotations

from typing import Final

from nexxus.config.config import Config
from nexxus.errors import ConfigurationError

_NEEDED: Final = frozenset({"api", "writer", "transport-manager", "gateway"})
"""The roles without which some writes would not be processed; custom workers are optional."""


def check_roles(config: Config) -> None:
    """Raise `ConfigurationError` if a role that must run in this process is left out."""
    roles = set(config.server.roles)
    missing = _NEEDED - roles
    alone = _adapters_of_one_process(config)
    if missing and alone:
        raise ConfigurationError(
            f"server.roles leaves out {', '.join(sorted(missing))}, which must run in this "
            f"process with {' and '.join(alone)}; run all roles, or choose adapters that "
            "several processes can share"
        )
    # The workers' queues would fill up, and then no more writes would be accepted.
    if config.broker.scope == "process" and config.server.workers and "workers" not in roles:
        raise ConfigurationError(
            f"server.roles leaves out workers, but server.workers names "
            f"{', '.join(config.server.workers)}, whose events do not reach other processes with "
            f"broker.adapter = {config.broker.adapter!r}; add the role, remove the workers, or "
            "choose a broker that several processes can share"
        )


def _adapters_of_one_process(config: Config) -> list[str]:
    """Return the settings that select an adapter that processes cannot share."""
    sections = {
        "broker": config.broker,
        "registry": config.registry,
        "database": config.database,
    }
    return [
        f"{name}.adapter = {section.adapter!r}"
        for name, section in sections.items()
        if section.scope == "process"
    ]
