"""Roles: whether those of a process can work with its adapters, checked before anything starts."""

from __future__ import annotations

from typing import Final

from nexxus.config.config import Config
from nexxus.errors import ConfigurationError

_NEEDED: Final = frozenset({"api", "writer", "transport-manager", "gateway"})
"""The roles without which some write goes unseen. A node of custom workers may be beside them."""


def check_roles(config: Config) -> None:
    """Raise `ConfigurationError` if a role is left out that must run in this process."""
    roles = set(config.server.roles)
    missing = _NEEDED - roles
    alone = _adapters_of_one_process(config)
    if missing and alone:
        raise ConfigurationError(
            f"server.roles leaves out {', '.join(sorted(missing))}, which must run in this "
            f"process with {' and '.join(alone)}; run all roles, or choose adapters that "
            "connect processes"
        )
    # Their queues would fill, and then no write would be accepted any more.
    if config.broker.scope == "process" and config.server.workers and "workers" not in roles:
        raise ConfigurationError(
            f"server.roles leaves out workers, but server.workers names "
            f"{', '.join(config.server.workers)}, whose events reach no other process with "
            f"broker.adapter = {config.broker.adapter!r}; add the role, name no workers, or "
            "choose a broker that connects processes"
        )


def _adapters_of_one_process(config: Config) -> list[str]:
    """The settings that select an adapter which other processes cannot share."""
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
