"""nginx as a reverse proxy, as it is usually put before a server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import ClassVar, Final

from services.local_server import LocalServer, apt_install

_ANSWER_WITHIN: Final = 2.0

_CONFIGURATION: Final = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  log_format plain '$remote_addr "$request_method $uri" $status';
  access_log {directory}/access.log plain;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{upstream}/;
      proxy_http_version {http_version};
      proxy_buffering on;
      proxy_buffers 8 64k;
      proxy_read_timeout 60s;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix "{prefix}";
    }}
  }}
}}
"""


class NginxServer(LocalServer):
    """Passes everything below `prefix` on to an upstream, a port of 127.0.0.1, without the prefix.

    It buffers answers, which is its default, and speaks HTTP `http_version` with the upstream.
    """

    name: ClassVar[str] = "nginx"

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        upstream: int,
        prefix: str = "",
        http_version: str = "1.1",
    ) -> None:
        super().__init__(directory, port)
        self._upstream = upstream
        self._prefix = prefix
        self._http_version = http_version

    @property
    def url(self) -> str:
        """Where its clients find the upstream."""
        return f"http://127.0.0.1:{self.port}{self._prefix}"

    def install(self) -> None:
        """Take it from the system, or from Debian's packages."""
        apt_install("nginx", "nginx-light")

    def command(self) -> list[str]:
        """The server, with everything that it writes in the directory."""
        directory = self.directory.resolve()
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                directory=directory,
                port=self.port,
                prefix=self._prefix,
                upstream=self._upstream,
                http_version=self._http_version,
            )
        )
        return ["nginx", "-c", str(configuration)]

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), _ANSWER_WITHIN).close()
        except OSError:
            return False
        return True
