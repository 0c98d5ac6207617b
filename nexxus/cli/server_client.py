"""The HTTP client with which commands call a running server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx2

from nexxus.cli.root import CommandFailed, Misuse
from nexxus.config import Config
from nexxus.errors import ConfigurationError

_TIMEOUT: Final = 30.0
_ANYWHERE: Final = frozenset({"0.0.0.0", "::", ""})
ADMIN_KEY_FILE: Final = "admin.key"


class ServerClient:
    """Sends requests to one server. Raises failures as `CommandFailed`, with the server's text."""

    def __init__(self, http: httpx2.Client, url: str, admin_key: str | None) -> None:
        self.url = url
        self._http = http
        self._admin_key = admin_key

    def admin(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request to ``/admin`` with the admin key, and return the response's body."""
        if self._admin_key is None:
            raise Misuse(
                "no admin key: give --admin-key, set NEXXUS_ADMIN__KEY, or run the command where "
                "the server's data directory is"
            )
        headers = {"authorization": f"Bearer {self._admin_key}"}
        return self.ask(method, f"/admin{path}", headers=headers, **kwargs)

    def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request and return the response's body. Raises `CommandFailed` for an error."""
        response = self.send(method, path, **kwargs)
        if response.is_success:
            return _body(response)
        raise CommandFailed(_explain(response))

    def send(self, method: str, path: str, **kwargs: Any) -> httpx2.Response:
        """Send a request and return the response, whatever its status."""
        try:
            return self._http.request(method, path, **kwargs)
        except httpx2.TransportError as error:
            raise CommandFailed(
                f"{self.url} does not respond ({error}); is the server running, and is --url "
                "correct?"
            ) from error


@contextmanager
def connect(
    url: str | None, admin_key: str | None = None, config_file: str | None = None
) -> Iterator[ServerClient]:
    """Yield a client of the server given by the options, otherwise by the configuration."""
    if url is None or admin_key is None:
        try:
            config = Config.load(config_file)
        except ConfigurationError:
            if url is None or config_file is not None:
                raise
        else:
            url = url or configured_url(config)
            admin_key = admin_key or configured_admin_key(config)
    assert url is not None
    url = url.rstrip("/")
    try:
        http = httpx2.Client(base_url=url, timeout=_TIMEOUT, headers={"accept": "application/json"})
    except (httpx2.InvalidURL, ValueError) as error:
        raise Misuse(f"--url {url}: {error}") from error
    with http:
        yield ServerClient(http, url, admin_key)


def configured_url(config: Config) -> str:
    """Return the URL of a server with this configuration, as seen from its own machine."""
    scheme = "https" if config.api.tls_certificate else "http"
    host = "127.0.0.1" if config.api.host in _ANYWHERE else config.api.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.api.port}"


def configured_admin_key(config: Config) -> str | None:
    """Return the admin key of a server with this configuration, or None if it is not found."""
    if config.admin.key:
        return config.admin.key
    try:
        return (config.server.data_dir / ADMIN_KEY_FILE).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _body(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise CommandFailed(
            f"the response from {response.url} is not JSON; is this a Nexxus server?"
        ) from error


def _explain(response: httpx2.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, Mapping) or "error" not in body:
        return f"{response.url} responded {response.status_code}; is this a Nexxus server?"
    return f"{body['error']} ({response.status_code}): {body.get('message', '')}"
