"""The sections of the configuration: each setting, its type, its default and its meaning.

`nexxus.config.reference` generates ``nexxus.toml.example`` and ``docs/configuration.md`` from the
descriptions. Times are in seconds and sizes in bytes unless stated otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nexxus.domain.objects import LARGEST_OBJECT
from nexxus.hookspecs import Scope

Role: TypeAlias = Literal["api", "writer", "transport-manager", "gateway", "workers"]
ROLES: Final[tuple[Role, ...]] = ("api", "writer", "transport-manager", "gateway", "workers")

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB


class ServerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The process: which roles it runs, where it stores its data, how it starts and stops."""

    roles: Annotated[
        tuple[Role, ...],
        Meta(
            min_length=1,
            description="The roles that this process runs.",
        ),
    ] = ROLES
    data_dir: Annotated[
        Path, Meta(description="The directory for all data that must survive a restart.")
    ] = Path("nexxus-data")
    node: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._-]{0,64}$",
            description="This process's id among all nodes; empty: a new id at every start.",
        ),
    ] = ""
    startup_timeout: Annotated[
        float, Meta(gt=0, description="How long to wait for backing services at start.")
    ] = 60.0
    drain_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="How long each step of a shutdown may take to finish accepted work: "
            "clients' frames, requests, and messages in the process's queues.",
        ),
    ] = 20.0
    demo: Annotated[
        bool, Meta(description="Create the application `demo` and serve its example pages.")
    ] = False
    workers: Annotated[
        tuple[str, ...],
        Meta(description="Names of the custom workers that the role `workers` runs."),
    ] = ()
    config_providers: Annotated[
        tuple[str, ...],
        Meta(
            description="Configuration providers (from plugins) to load settings from at start; "
            "the last one that has a setting wins."
        ),
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
            '"*" allows all.'
        ),
    ] = ()
    tls_certificate: Annotated[
        str, Meta(description="PEM file with the certificate chain; empty: no TLS.")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file with the certificate's private key.")] = ""
    hsts_max_age: Annotated[
        int,
        Meta(
            ge=0,
            description="The max-age of Strict-Transport-Security, sent over TLS; "
            "0: the header is not sent.",
        ),
    ] = 31_536_000
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of proxies whose X-Forwarded-For and "
            "X-Forwarded-Proto headers are trusted."
        ),
    ] = ()
    docs: Annotated[bool, Meta(description="Serve /docs, /openapi.json and /asyncapi.json.")] = True
    max_connections: Annotated[
        int, Meta(ge=1, description="The most open HTTP connections; more are refused.")
    ] = 10_000

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("set both tls_certificate and tls_key, or neither")


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway: its transports, its port, its timeouts, and what a client can resume."""

    transports: Annotated[
        tuple[str, ...],
        Meta(description="Names of the transports for devices; plugins can add more."),
    ] = ("websockets", "sse")
    enabled: Annotated[
        bool, Meta(description="Listen on the gateway's own port, in addition to /ws on the API's.")
    ] = True
    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: any free one.")
    ] = 8081
    max_connections: Annotated[
        int, Meta(ge=1, description="The most open WebSocket connections; more are refused.")
    ] = 100_000
    resume_window: Annotated[
        float,
        Meta(
            ge=0,
            description="How long the subscriptions of a lost connection are kept for a resume; "
            "0: they are not kept.",
        ),
    ] = 60.0
    resume_window_max: Annotated[
        float,
        Meta(
            ge=0,
            description="The longest resume window that a connection may request, if its "
            "transport supports that.",
        ),
    ] = 3600.0
    resume_frames: Annotated[
        int, Meta(ge=0, description="The most missed frames kept per device for a resume.")
    ] = 1_000
    resume_bytes: Annotated[
        int, Meta(ge=0, description="The most bytes of missed frames kept per device.")
    ] = 1 * _MIB
    log_deliveries: Annotated[
        int, Meta(ge=0, description="The most events that the node keeps for all resumes together.")
    ] = 20_000
    log_bytes: Annotated[
        int, Meta(ge=0, description="The most bytes of events that the node keeps for all resumes.")
    ] = 64 * _MIB
    resume_grace: Annotated[
        float,
        Meta(
            ge=0,
            description="How long to wait for a `resume` after `register`; at most one second "
            "once the device has subscribed over HTTP.",
        ),
    ] = 5.0
    handover_timeout: Annotated[
        float,
        Meta(
            ge=0,
            description="How long another node may take to hand over a device that resumes here, "
            "and how long a stopping node waits for its devices to resume elsewhere.",
        ),
    ] = 2.0
    send_buffer: Annotated[
        int,
        Meta(
            ge=_KIB,
            description="Unsent bytes above which a slow consumer is disconnected with 4008.",
        ),
    ] = 1 * _MIB
    register_timeout: Annotated[
        float, Meta(gt=0, description="How long a connection may take to send `register`.")
    ] = 10.0
    frames_queued: Annotated[
        int,
        Meta(
            ge=1,
            description="The most unanswered frames of one client; then its socket is not read.",
        ),
    ] = 256
    ping_interval: Annotated[
        float, Meta(gt=0, description="The time between pings to each client.")
    ] = 25.0
    ping_timeout: Annotated[
        float,
        Meta(gt=0, description="How long a client may be silent before its connection is dropped."),
    ] = 60.0


class HealthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A separate port for `/healthz`, `/readyz` and `/metrics`, available with any roles.

    The API's and the gateway's ports serve them too; a node with only other roles has no port
    without this section.
    """

    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0: no separate port.")
    ] = 0


class WriterSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The writer, which applies accepted writes to the stored objects."""

    batch: Annotated[int, Meta(ge=1, description="The most writes applied in one batch.")] = 512
    tombstone_hours: Annotated[
        int, Meta(ge=24, description="Hours for which the version of a deleted object is kept.")
    ] = 24


class TransportManagerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The transport manager, which finds the nodes that an event concerns."""

    batch: Annotated[int, Meta(ge=1, description="The most events routed in one batch.")] = 512


class PushSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Push to devices that are away. The role `transport-manager` sends it."""

    services: Annotated[
        tuple[str, ...],
        Meta(description="Names of the push services that devices may use; plugins can add more."),
    ] = ()
    retention: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a disconnected device gets pushes; then its subscriptions end.",
        ),
    ] = 2_592_000.0
    expiry: Annotated[
        float,
        Meta(gt=0, description="How long a push that its service does not accept is retried."),
    ] = 86_400.0
    concurrency: Annotated[
        int, Meta(ge=1, description="Batches that are sent to one service at a time.")
    ] = 4


class AuthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Password hashing (argon2id) and token rotation."""

    time_cost: Annotated[int, Meta(ge=1, description="Passes of argon2id over its memory.")] = 3
    memory_cost: Annotated[int, Meta(ge=8, description="Memory of one argon2id hash, in KiB.")] = (
        65_536
    )
    parallelism: Annotated[int, Meta(ge=1, description="Parallel lanes of argon2id.")] = 1
    refresh_grace: Annotated[
        float,
        Meta(ge=0, description="How long the previous refresh token keeps working."),
    ] = 10.0


class AdminSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The administration API and the dashboard."""

    key: Annotated[
        str,
        Meta(
            description="The key for /admin/*; empty: generated at the first start and stored in "
            "`admin.key` in the data directory."
        ),
    ] = ""


class LimitsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits for each client; the response to a violation is in parentheses."""

    body: Annotated[int, Meta(ge=1, description="Bytes of a request's body (413).")] = 1 * _MIB
    frame: Annotated[int, Meta(ge=1, description="Bytes of a client's frame (1009).")] = 1 * _MIB
    object: Annotated[
        int,
        Meta(
            ge=1,
            description="Bytes of the JSON of an object: no write makes a larger one (413, or a "
            "rejected operation).",
        ),
    ] = LARGEST_OBJECT
    depth: Annotated[
        int, Meta(ge=1, le=512, description="Levels of nesting in a body or frame (400).")
    ] = 64
    filter_conditions: Annotated[int, Meta(ge=1, description="Conditions in one filter (400).")] = (
        256
    )
    subscriptions: Annotated[int, Meta(ge=1, description="Subscriptions per device (400).")] = 1_000
    sign_in_attempts: Annotated[
        int, Meta(ge=1, description="Failed sign-ins per account and minute (429).")
    ] = 10
    requests_per_second: Annotated[
        float,
        Meta(
            ge=0,
            description="Requests and frames per second and device, or without a device requests "
            "per second and address (429); 0: no limit.",
        ),
    ] = 0.0


class AdapterSection(msgspec.Struct, frozen=True):
    """A section that selects an adapter; its other keys are the adapter's validated `settings`.

    `settings` is an instance of the adapter's own struct, None if it has none. `scope` states which
    processes can share the adapter; a logger has none.
    """

    adapter: str
    settings: Any = None
    scope: Scope | None = None
