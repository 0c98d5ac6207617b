"""Masks secrets in text for people: logs, error messages, ``nexxus config show``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

_NAMES: Final = frozenset(
    {"key", "apikey", "adminkey", "accesskey", "privatekey", "authorization", "cookie"}
)
_ENDINGS: Final = (
    "secret",
    "password",
    "passphrase",
    "token",
    "ticket",
    "secretaccesskey",
    "credentials",
)

_URL_CREDENTIALS: Final = re.compile(r"(?<=://)(?:([^/\s:@]*):)?[^/\s]+@")
_URL_PARAMETER: Final = re.compile(
    r"(?i)([?&](?:[\w.-]*(?:secret|password|token|ticket)|key|api_key)=)[^&\s#]+"
)
_BEARER: Final = re.compile(r"(?i)\b(bearer\s+)[^\s,;\"']+")
_JWT: Final = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")


def is_secret_name(name: str) -> bool:
    """Return whether a key's name denotes a secret, such as ``clientSecret`` or ``api_key``."""
    bare = name.lower().replace("_", "").replace("-", "")
    return bare in _NAMES or bare.endswith(_ENDINGS)


def redact(value: Any, name: str = "") -> Any:
    """Return a copy of the value of the key `name`, with every secret in it masked.

    An empty secret stays empty, to show that it is not set.
    """
    if name and is_secret_name(name) and not isinstance(value, Mapping):
        return MASK if value not in (None, "") else value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def redact_text(text: str) -> str:
    """Return a text with credentials in URLs, bearer tokens and JWTs masked."""
    if "://" in text:
        text = _URL_CREDENTIALS.sub(_without_password, text)
    if "=" in text:
        text = _URL_PARAMETER.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    return _JWT.sub(MASK, text)


def _without_password(match: re.Match[str]) -> str:
    user = match.group(1)
    return f"{MASK}@" if user is None else f"{user}:{MASK}@"
