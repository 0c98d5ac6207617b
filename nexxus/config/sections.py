"""The sections of the configuration: each setting, its type, its default and its meaning.

The descriptions are what ``nexxus.toml.example`` and ``docs/configuration.md`` are made of
(`nexxus.config.reference`). Times are seconds, sizes are bytes, where nothing else is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nexxus.hookspecs import Scope

Role: TypeAlias = Literal["api", "writer", "transport-manager", "gateway", "workers"]
ROLES: Final[tuple[Role, ...]] = ("api", "writer", "transport-manager", "gateway", "workers")

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB


class ServerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The process: what it runs, where it keeps its data, how it starts and stops."""

    roles: Annotated[
        tuple[Role, ...],
        Meta(
            min_length=1,
            description="The roles that this process runs; all of them unless told otherwise.",
        ),
    ] = ROLES
    data_dir: Annotated[
        Path, Meta(description="The folder for everything that must survive a restart.")
    ] = Path("nexxus-data")
    node: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._-]{0,64}$",
            description="This process's id among all nodes; empty: a new one at every start.",
        ),
    ] = ""
    startup_timeout: Annotated[
        float, Meta(gt=0, description="How long to wait at start for a backing service.")
    ] = 60.0
    drain_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="How long each step of a stop may take to finish what was accepted: "
            "clients' frames, requests, and what waits in the process's queues.",
        ),
    ] = 20.0
    demo: Annotated[
        bool, Meta(description="Create the application `demo` and open the example pages.")
    ] = False
    workers: Annotated[
        tuple[str, ...],
        Meta(description="The custom workers that the role `workers` runs, by name."),
    ] = ()
    config_providers: Annotated[
        tuple[str, ...],
        Meta(description="Plugins to ask for configuration at start; the last one wins."),
    ] = ()


class ApiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP API, which also serves the WebSocket at `/ws` and the dashboard."""

    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: any free one.")
    ] = 8080
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            description='Origins whose pages may call the API, such as "https://app.example"; '
            '"*" for all.'
        ),
    ] = ()
    tls_certificate: Annotated[
        str, Meta(description="PEM file of the certificate chain; empty: no TLS here.")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's private key.")] = ""
    hsts_max_age: Annotated[
        int, Meta(ge=0, description="Strict-Transport-Security in seconds, over TLS; 0: none.")
    ] = 31_536_000
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of proxies whose X-Forwarded-For and -Proto count."
        ),
    ] = ()
    docs: Annotated[bool, Meta(description="Serve /docs, /openapi.json and /asyncapi.json.")] = True
    max_connections: Annotated[
        int, Meta(ge=1, description="Open HTTP connections before new ones are refused.")
    ] = 10_000

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key are given together or not at all")


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway: its transports, its port, its time limits, and what a resume can bring back."""

    transports: Annotated[
        tuple[str, ...],
        Meta(description="How devices may be connected, by name; plugins bring more."),
    ] = ("websockets",)
    enabled: Annotated[
        bool, Meta(description="Listen on the gateway's own port, beside /ws on the API's.")
    ] = True
    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: any free one.")
    ] = 8081
    max_connections: Annotated[
        int, Meta(ge=1, description="Open WebSocket connections before new ones are refused.")
    ] = 100_000
    resume_window: Annotated[
        float,
        Meta(
            ge=0,
            description="How long a lost connection's subscriptions are kept for a resume; "
            "0: not at all.",
        ),
    ] = 60.0
    resume_window_max: Annotated[
        float,
        Meta(
            ge=0,
            description="The longest resume window that a connection may ask for, where its "
            "transport lets it.",
        ),
    ] = 3600.0
    resume_frames: Annotated[
        int, Meta(ge=0, description="Missed frames that are kept per device for a resume.")
    ] = 1_000
    resume_bytes: Annotated[
        int, Meta(ge=0, description="Bytes of missed frames that are kept per device.")
    ] = 1 * _MIB
    log_deliveries: Annotated[
        int, Meta(ge=0, description="Events that the node remembers for all resumes together.")
    ] = 20_000
    log_bytes: Annotated[
        int, Meta(ge=0, description="Bytes of events that the node remembers for all resumes.")
    ] = 64 * _MIB
    resume_grace: Annotated[
        float,
        Meta(
            ge=0,
            description="How long after `register` a `resume` is waited for: a second at most "
            "from when the device subscribes over HTTP.",
        ),
    ] = 5.0
    handover_timeout: Annotated[
        float,
        Meta(
            ge=0,
            description="How long another node may take to hand over a device that resumes here, "
            "and how long a node that stops waits for its devices to resume elsewhere.",
        ),
    ] = 2.0
    send_buffer: Annotated[
        int,
        Meta(ge=_KIB, description="Unsent bytes after which a slow consumer is closed with 4008."),
    ] = 1 * _MIB
    register_timeout: Annotated[
        float, Meta(gt=0, description="How long a connection may take to send `register`.")
    ] = 10.0
    frames_queued: Annotated[
        int, Meta(ge=1, description="A client's unanswered frames before it is no longer read.")
    ] = 256
    ping_interval: Annotated[float, Meta(gt=0, description="How often a peer is pinged.")] = 25.0
    ping_timeout: Annotated[
        float, Meta(gt=0, description="How long a peer may be silent before it is dropped.")
    ] = 60.0


class HealthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`/healthz`, `/readyz` and `/metrics` on a port of their own, whatever the roles are.

    The API's and the gateway's port serve them as well; a node with other roles has no port.
    """

    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: no such port.")
    ] = 0


class WriterSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The writer, which applies accepted writes to the stored objects."""

    batch: Annotated[int, Meta(ge=1, description="Writes that are applied in one go.")] = 512
    tombstone_hours: Annotated[
        int, Meta(ge=24, description="Hours for which a deleted object's version is remembered.")
    ] = 24


class TransportManagerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The transport manager, which finds the nodes that an event concerns."""

    batch: Annotated[int, Meta(ge=1, description="Events that are routed in one go.")] = 512


class AuthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How passwords are hashed (argon2id) and tokens are rotated."""

    time_cost: Annotated[int, Meta(ge=1, description="Passes of argon2id over its memory.")] = 3
    memory_cost: Annotated[int, Meta(ge=8, description="Memory of one argon2id hash, in KiB.")] = (
        65_536
    )
    parallelism: Annotated[int, Meta(ge=1, description="Lanes of argon2id.")] = 1
    refresh_grace: Annotated[
        float,
        Meta(ge=0, description="How long the previous refresh token keeps working."),
    ] = 10.0


class AdminSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The administration API and the dashboard."""

    key: Annotated[
        str,
        Meta(
            description="The key for /admin/*; empty: made at the first start and kept in "
            "`admin.key` in the data directory."
        ),
    ] = ""


class LimitsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may ask for."""

    body: Annotated[int, Meta(ge=1, description="Bytes of a request's body (413).")] = 1 * _MIB
    frame: Annotated[int, Meta(ge=1, description="Bytes of a client's frame (1009).")] = 1 * _MIB
    depth: Annotated[
        int, Meta(ge=1, le=512, description="Nested levels of a body or frame (400).")
    ] = 64
    filter_conditions: Annotated[int, Meta(ge=1, description="Conditions of one filter (400).")] = (
        256
    )
    subscriptions: Annotated[int, Meta(ge=1, description="Subscriptions of one device (400).")] = (
        1_000
    )
    sign_in_attempts: Annotated[
        int, Meta(ge=1, description="Failed sign-ins per account and minute (429).")
    ] = 10
    requests_per_second: Annotated[
        float,
        Meta(
            ge=0,
            description="Requests and frames per device, else requests per address (429); "
            "0: no limit.",
        ),
    ] = 0.0


class AdapterSection(msgspec.Struct, frozen=True):
    """A section that names an adapter; the rest of it is the adapter's checked `settings`.

    `settings` is an instance of the adapter's own struct, None if it has none. `scope` says who
    can share the adapter; a logger has none.
    """

    adapter: str
    settings: Any = None
    scope: Scope | None = None
