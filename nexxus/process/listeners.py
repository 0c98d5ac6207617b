"""Listeners: ports served by uvicorn, whose connections the application may take over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from nexxus.errors import NotStarted, StartupError
from nexxus.process.http_protocol import HttpProtocol

_BACKLOG = 4096


class Listener:
    """One port of the process.

    `tls` has the files of a certificate and its key. `setting` is the setting that changes the
    port.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls: tuple[str, str] | None = None,
        max_connections: int,
        drain_timeout: float,
        setting: str,
    ) -> None:
        self.host = host
        self.port = port
        self._setting = setting
        self._tls = tls
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                http=HttpProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                limit_concurrency=max_connections,
                timeout_graceful_shutdown=max(1, round(drain_timeout)),
                ssl_certfile=tls[0] if tls else None,
                ssl_keyfile=tls[1] if tls else None,
            )
        )
        self.scheme = "https" if tls else "http"

    @property
    def url(self) -> str:
        """The port's URL, as seen from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def bind(self) -> None:
        """Bind the port. Raises `StartupError` if the port or the certificate cannot be used."""
        if self._tls is not None:
            _check_certificate(*self._tls)
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM
            )[0]
            # If the protocol is given, asyncio sets TCP_NODELAY on accepted connections. Otherwise
            # every response to a keep-alive request would wait 40 ms for an acknowledgement.
            self._socket = socket.socket(family, kind, socket.IPPROTO_TCP)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            # Listen immediately: another process could also bind a port that is only bound.
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
        except OSError as error:
            raise StartupError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror}; "
                f"choose another port with {self._setting}"
            ) from error
        self.port = self._socket.getsockname()[1]

    async def start(self) -> None:
        """Start serving. When it returns, connections are accepted."""
        if self._socket is None:
            raise NotStarted("bind the listener before it is started")
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise StartupError(f"the listener on port {self.port} did not start")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop accepting connections, let running requests finish, and close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        elif self._socket is not None:
            self._socket.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to its owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Do nothing; never called, because no signal is captured."""


def _check_certificate(certificate: str, key: str) -> None:
    import ssl  # only needed with TLS

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # includes ssl's errors
        raise StartupError(
            f"api.tls_certificate {certificate} and api.tls_key {key} cannot be used: "
            f"{error.strerror or error}; both must be files in PEM format"
        ) from error
