"""Roles: whether those of a process can work with its adapters, checked before anything starts."""

from __future__ import annotations

from typing import Final

from nexxus.config.config import Config
from nexxus.errors import ConfigurationError

_NEEDED: Final = frozenset({"api", "writer", "transport-manager", "gateway"})
"""The roles without which some write goes unseen. A node of custom workers may be beside them."""


def check_roles(config: Config) -> None:
    """Raise `ConfigurationError` where a role is left out that must run in this process."""
    roles = set(config.server.roles)
    broker_is_alone = config.broker.adapter == "in-process"
    alone = ["broker.adapter = 'in-process'"] if broker_is_alone else []
    if config.registry.adapter == "in-process":
        alone.append("registry.adapter = 'in-process'")
    # A node of custom workers has no objects of its own.
    if config.database.adapter == "sqlite" and _NEEDED & roles:
        alone.append("database.adapter = 'sqlite'")
    missing = _NEEDED - roles
    if missing and alone:
        raise ConfigurationError(
            f"server.roles leaves out {', '.join(sorted(missing))}, which must run in this "
            f"process with {' and '.join(alone)}; run all roles, or choose adapters that "
            "connect processes"
        )
    # Their queues would fill, and then no write would be taken any more.
    if broker_is_alone and config.server.workers and "workers" not in roles:
        raise ConfigurationError(
            f"server.roles leaves out workers, but server.workers names "
            f"{', '.join(config.server.workers)}, whose events reach nobody else with "
            "broker.adapter = 'in-process'; add the role, name no workers, or choose a broker "
            "that connects processes"
        )
