"""The effective configuration, for people and programs, with origins and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from nexxus.config.config import Config
from nexxus.config.references import is_reference
from nexxus.config.resolve import ADAPTER_SECTIONS, DEFAULT
from nexxus.observability.redaction import redact

ORDER: Final = (
    *("server", "api", "gateway", "health", "writer", "transport_manager", "push"),
    *("database", "broker", "registry", "auth", "admin", "logger", "limits"),
)
"""The sections, in the order of the documentation."""


def describe(config: Config) -> dict[str, dict[str, Any]]:
    """Return ``{"value": …, "origin": …}`` for each dotted key, with secrets masked.

    For a value with a resolved reference, the reference is shown.
    """
    return {
        key: {"value": _shown(config, value, key, name), "origin": config.origins.get(key, DEFAULT)}
        for key, name, value in _settings(config)
    }


def changed_keys(former: Config, present: Config) -> list[str]:
    """Return the dotted keys whose values differ, even if masking makes them look equal."""
    before, after = ({key: value for key, _, value in _settings(c)} for c in (former, present))
    missing = object()
    return [
        key
        for key in dict.fromkeys([*before, *after])
        if before.get(key, missing) != after.get(key, missing)
    ]


def to_toml(config: Config) -> str:
    """Return what `describe` returns as TOML with comments."""
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
    """Return a value as TOML, on one line."""
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


def _settings(config: Config) -> Iterator[tuple[str, str, Any]]:
    """Yield the dotted key, the name and the JSON value of every setting."""
    if config.applications:
        yield "applications", "", config.applications
    for name in ORDER:
        section = getattr(config, name)
        if name in ADAPTER_SECTIONS:
            yield f"{name}.adapter", "adapter", section.adapter
            section = section.settings
        yield from _fields(name, section)
    for name, settings in config.plugins.items():
        yield from _fields(f"plugins.{name}", settings)


def _fields(prefix: str, settings: msgspec.Struct | None) -> Iterator[tuple[str, str, Any]]:
    if settings is None:
        return
    nested = []
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        name = field.encode_name
        if isinstance(value, msgspec.Struct):
            nested.append((name, value))
        elif value is not None:
            yield f"{prefix}.{name}", name, msgspec.to_builtins(value, enc_hook=str)
    for name, value in nested:
        yield from _fields(f"{prefix}.{name}", value)


def _shown(config: Config, value: Any, key: str, name: str) -> Any:
    """Return a value masked, with references in place of their resolved values."""
    written = config.references.get(key)
    if written is not None:
        return written if is_reference(written) else redact(written, name)
    if not any(other.startswith(f"{key}.") for other in config.references):
        return redact(value, name)
    if isinstance(value, Mapping):
        return {k: _shown(config, v, f"{key}.{k}", str(k)) for k, v in value.items()}
    return [_shown(config, v, f"{key}.{index}", name) for index, v in enumerate(value)]


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name)
