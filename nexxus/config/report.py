"""The configuration in force, for people and programs, with origins and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from nexxus.config.config import Config
from nexxus.config.resolve import ADAPTER_SECTIONS, DEFAULT
from nexxus.observability.redaction import redact

ORDER: Final = (
    *("server", "api", "gateway", "health", "writer", "transport_manager"),
    *("database", "broker", "registry", "auth", "admin", "logger", "limits"),
)
"""The sections, in the order in which people read them."""


def describe(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting by its dotted key: ``{"value": …, "origin": …}``, secrets masked."""
    return {
        key: {"value": value, "origin": config.origins.get(key, DEFAULT)}
        for key, value in _settings(config)
    }


def to_toml(config: Config) -> str:
    """The same as a commented TOML file."""
    lines: list[str] = []
    section = ""
    for key, described in describe(config).items():
        here, _, name = key.rpartition(".")
        if here != section:
            lines += [*([""] if lines else []), f"[{here}]"]
            section = here
        value = toml_literal(described["value"])
        lines.append(f"{name or key} = {value}".ljust(48) + f"  # {described['origin']}")
    return "\n".join(lines) + "\n"


def toml_literal(value: Any) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {toml_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(toml_literal, value)) + "]"
    return toml_literal(str(value))


def _settings(config: Config) -> Iterator[tuple[str, Any]]:
    if config.applications:
        yield "applications", redact(config.applications)
    for name in ORDER:
        section = getattr(config, name)
        if name in ADAPTER_SECTIONS:
            yield f"{name}.adapter", section.adapter
            section = section.settings
        yield from _fields(name, section)
    for name, settings in config.plugins.items():
        yield from _fields(f"plugins.{name}", settings)


def _fields(prefix: str, settings: msgspec.Struct | None) -> Iterator[tuple[str, Any]]:
    if settings is None:
        return
    nested = []
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            nested.append((field.encode_name, value))
        elif value is not None:
            plain = msgspec.to_builtins(value, enc_hook=str)
            yield f"{prefix}.{field.encode_name}", redact(plain, field.encode_name)
    for name, value in nested:
        yield from _fields(f"{prefix}.{name}", value)


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name)
