"""Requests: reads the parts of a request, lazily and only once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from nexxus.api.bodies import read_body
from nexxus.api.credentials import bearer_token
from nexxus.api.services import Services
from nexxus.domain.application import Application
from nexxus.domain.decoding import Decoder
from nexxus.domain.identity import Identity
from nexxus.errors import InvalidParameters, UnsupportedMediaType
from nexxus.objects.writes import Terms

if TYPE_CHECKING:
    from nexxus.api.endpoints import Endpoint

B = TypeVar("B")

_WAIT: Final = re.compile(
    r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9}(?:\.\d{1,9})?)"?\s*(?=$|[,;])', re.IGNORECASE
)
_MAX_KEY: Final = 255
_NO_TERMS: Final = Terms()


class Request(Generic[B]):
    """One request on its way to its handler.

    `path` has the path's parameters. If the endpoint needs them, the dispatcher sets
    `application`, `identity` and `body` before it calls the handler.
    """

    __slots__ = (
        "_query",
        "_receive",
        "application",
        "body",
        "endpoint",
        "headers",
        "identity",
        "path",
        "scope",
        "services",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        services: Services,
        headers: dict[bytes, bytes],
        endpoint: Endpoint,
        path: dict[str, str],
    ) -> None:
        self.scope = scope
        self.services = services
        self.headers = headers
        self.endpoint = endpoint
        self.path = path
        self.application: Application
        self.identity: Identity
        self.body: B
        self._receive = receive
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters; the last one of each name."""
        if self._query is None:
            text = self.scope.get("query_string", b"").decode("latin-1")
            self._query = dict(parse_qsl(text, keep_blank_values=True)) if text else {}
        return self._query

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies; the first one of each name."""
        text = self.headers.get(b"cookie", b"").decode("latin-1")
        found: dict[str, str] = {}
        for pair in text.split(";"):
            name, _, value = pair.strip().partition("=")
            found.setdefault(name, value)
        return found

    @property
    def root(self) -> str:
        """The path of the API's root, ending in a slash."""
        return f"{self.scope.get('root_path', '')}/"

    @property
    def base_url(self) -> str:
        """The API's URL for this client: scheme, host and, if mounted, the path."""
        host = self.headers.get(b"host", b"localhost").decode("latin-1")
        return f"{self.scope.get('scheme', 'http')}://{host}{self.scope.get('root_path', '')}"

    def token(self) -> str | None:
        """Return the bearer token, or None if there is none or another scheme."""
        return bearer_token(self.headers)

    def app_id(self) -> str:
        """Return the id of the application that the request names. Raises `InvalidParameters`."""
        app_id = self.headers.get(b"nxx-app-id")
        if app_id:
            return app_id.decode("latin-1")
        named = self.query.get("appId") if self.endpoint.app_id_in_query else None
        if not named:
            raise InvalidParameters(
                "name the application in the header nxx-app-id", {"field": "nxx-app-id"}
            )
        return named

    def terms(self) -> Terms:
        """Return how to handle a write, from ``Idempotency-Key`` and ``Prefer: wait=``."""
        key = self.headers.get(b"idempotency-key")
        prefer = self.headers.get(b"prefer")
        if key is None and prefer is None:
            return _NO_TERMS
        if key is not None and not 0 < len(key) <= _MAX_KEY:
            raise InvalidParameters(
                f"Idempotency-Key: expected 1 to {_MAX_KEY} characters",
                {"field": "Idempotency-Key"},
            )
        return Terms(
            idempotency_key=None if key is None else key.decode("latin-1"),
            wait=None if prefer is None else self._preferred_wait(),
        )

    def _preferred_wait(self) -> float | None:
        """Return the seconds to wait from the ``Prefer`` headers, or None."""
        prefer = b", ".join(value for name, value in self.scope["headers"] if name == b"prefer")
        found = _WAIT.search(prefer.decode("latin-1"))
        return (None if found is None else float(found.group(1))) or None

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return an integer query parameter. Raises `InvalidParameters`."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 17 and low <= int(text) <= high):
            raise InvalidParameters(
                f"{name}: expected an integer from {low} to {high}", {"field": name}
            )
        return int(text)

    async def read(self, decoder: Decoder) -> Any:
        """Return the decoded body.

        A missing body counts as an object without keys if the type defines its keys.
        """
        settings = self.services.settings
        data = await read_body(self._receive, self.headers, settings.body)
        if not data:
            if self.endpoint.body == dict[str, Any]:
                raise InvalidParameters("the body is missing; send an object", {"rule": "body"})
            return decoder.decode_json(b"{}", max_depth=settings.depth)
        media_type = self.headers.get(b"content-type", b"application/json")
        if media_type != b"application/json":
            media_type = media_type.partition(b";")[0].strip().lower()
        if media_type == b"application/json":
            return decoder.decode_json(data, max_depth=settings.depth)
        if media_type == b"application/msgpack":
            return decoder.decode_msgpack(data, max_depth=settings.depth)
        raise UnsupportedMediaType(
            f"{media_type.decode('latin-1')}: send application/json or application/msgpack"
        )
