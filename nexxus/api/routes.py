"""Every route of the contract, section by section."""

from __future__ import annotations

from typing import Final

from nexxus.api import (
    admin,
    dead_letters,
    devices,
    health,
    models,
    operations,
    sessions,
    subscriptions,
    users,
    workers,
)
from nexxus.api.endpoints import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *sessions.ENDPOINTS,
    *users.ENDPOINTS,
    *devices.ENDPOINTS,
    *models.ENDPOINTS,
    *operations.ENDPOINTS,
    *subscriptions.ENDPOINTS,
    *admin.ENDPOINTS,
    *dead_letters.ENDPOINTS,
    *workers.ENDPOINTS,
    *health.ENDPOINTS,
)
