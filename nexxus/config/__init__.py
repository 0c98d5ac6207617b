"""Configuration: sections, sources, and the origin of each setting."""

from nexxus.config.config import Config
from nexxus.config.sections import (
    ROLES,
    AdapterSection,
    AdminSection,
    ApiSection,
    AuthSection,
    GatewaySection,
    HealthSection,
    LimitsSection,
    Role,
    ServerSection,
    TransportManagerSection,
    WriterSection,
)
from nexxus.config.sources import Setting

__all__ = [
    "ROLES",
    "AdapterSection",
    "AdminSection",
    "ApiSection",
    "AuthSection",
    "Config",
    "GatewaySection",
    "HealthSection",
    "LimitsSection",
    "Role",
    "ServerSection",
    "Setting",
    "TransportManagerSection",
    "WriterSection",
]
