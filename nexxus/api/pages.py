"""Pages: the static files for browsers."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import Final

from nexxus.api.responses import Raw
from nexxus.errors import NotFound

_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
}
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self' ws: wss:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


_PUBLIC: Final = frozenset({"pages.css", "docs.js", "dashboard.js"})


def static_file(name: str) -> Raw:
    """Return a file that the pages use. Raises `NotFound`."""
    if name not in _PUBLIC:
        raise NotFound(f"the file {name!r} does not exist")
    return page(name)


def page(name: str, **values: str) -> Raw:
    """Return a file with each ``{{name}}`` replaced by its escaped value."""
    text = _read(name)
    for key, value in values.items():
        text = text.replace(f"{{{{{key}}}}}", html.escape(value))
    return Raw(200, text.encode(), _MEDIA_TYPES[Path(name).suffix], _HEADERS)


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
