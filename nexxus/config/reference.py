"""Generates the reference of all settings from their definitions.

``python -m nexxus.config.reference --example`` prints ``nexxus.toml.example``, ``--markdown``
prints ``docs/configuration.md``. Both cover Nexxus and its built-in adapters. A plugin's settings
are described in its own documentation and listed by ``nexxus config show``.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from nexxus.config.config import SECTIONS
from nexxus.config.report import ORDER, toml_literal
from nexxus.config.resolve import ADAPTER_SECTIONS
from nexxus.plugins import Catalog

_WIDTH: Final = 96
_MEANINGS: Final = {
    "database": "Where objects, users and applications are stored.",
    "broker": "The queues between the roles.",
    "registry": "The state that all nodes share: devices, sessions, subscriptions.",
    "logger": "Where and how the process logs.",
}
_TYPE_NAMES: Final = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Any: "anything",
}


class SettingDescription(msgspec.Struct, frozen=True):
    """One setting: its key in the section, its type, its default as TOML, and its meaning.

    An empty `default` means that the setting is required.
    """

    key: str
    takes: str
    default: str
    meaning: str


class Section(msgspec.Struct, frozen=True):
    """A section, or the settings that an `adapter` adds to the section that selects it.

    For an adapter, `default` is the section's default adapter.
    """

    name: str
    meaning: str
    entries: list[SettingDescription]
    adapter: str = ""
    default: str = ""


def sections() -> Iterator[Section]:
    """Yield all sections in the order of the reference, including those of built-in adapters."""
    catalog = Catalog.discover(installed=False)
    for name in ORDER:
        if name in SECTIONS:
            struct = SECTIONS[name]
            yield Section(name, _first_paragraph(struct), list(_entries(struct)))
            continue
        kind, default = ADAPTER_SECTIONS[name]
        known = ", ".join(f"`{adapter}`" for adapter in catalog.names(kind))
        meaning = f"The adapter: {known}, or one from a plugin."
        choice = SettingDescription("adapter", "text", toml_literal(default), meaning)
        yield Section(name, _MEANINGS[name], [choice])
        offers = {offer.adapter.name: offer for offer in catalog.offers(kind)}
        for adapter in sorted(offers, key=lambda known: (known != default, known)):
            own = offers[adapter].adapter.settings
            if own is not None:
                summary = _sentence(offers[adapter].summary)
                yield Section(name, summary, list(_entries(own)), adapter, default)
    for name, plugin in sorted(catalog.plugin_sections.items()):
        if plugin.settings is not None:
            entries = list(_entries(plugin.settings))
            yield Section(f"plugins.{name}", _sentence(plugin.summary), entries)


def _sentence(summary: str) -> str:
    return f"{summary[:1].upper()}{summary[1:]}."


def example() -> str:
    """Return ``nexxus.toml.example``: every setting with its default, commented out."""
    lines = [
        "# Every setting of Nexxus with its default. Copy this file to nexxus.toml and uncomment",
        "# what you change. Times are in seconds and sizes in bytes unless stated otherwise.",
        "# `nexxus config check` validates the configuration, `nexxus config show` prints it.",
    ]
    for section in sections():
        lines.append("")
        if section.adapter:
            lines.append(f'# With adapter = "{section.adapter}": {section.meaning}')
        else:
            lines += [f"# {section.meaning}", f"[{section.name}]"]
        for entry in section.entries:
            lines += ["", *_comment(entry.meaning)]
            value = entry.default or '""  # required'
            # The keys of an adapter other than the default are indented, because they are invalid
            # with another adapter.
            indent = "  " if section.adapter and section.adapter != section.default else ""
            lines.append(f"# {indent}{entry.key} = {value}")
    return "\n".join([*lines, "", *_EXAMPLE_TAIL.splitlines()]) + "\n"


def markdown() -> str:
    """Return ``docs/configuration.md``."""
    parts = [_INTRODUCTION]
    for section in sections():
        if section.adapter:
            title = f'### `[{section.name}]` with `adapter = "{section.adapter}"`'
        else:
            title = f"## `[{section.name}]`"
        parts.append(f"{title}\n\n{section.meaning}\n")
        if section.entries:
            rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
            for entry in section.entries:
                default = f"`{entry.default}`" if entry.default else "required"
                cells = (f"`{entry.key}`", entry.takes, default, entry.meaning)
                rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            parts.append("\n".join(rows) + "\n")
    return "\n".join([*parts, _OUTRO])


def _entries(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[SettingDescription]:
    for field in msgspec.structs.fields(struct):
        key = f"{prefix}{field.encode_name}"
        bare, metas = _unwrap(field.type)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            yield from _entries(bare, f"{key}.")
            continue
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        described = next((meta.description for meta in metas if meta.description), "")
        yield SettingDescription(
            key=key,
            takes=_takes(bare) + _bounds(metas),
            default="" if field.required else _default(default),
            meaning=described or "",
        )


def _default(value: Any) -> str:
    return '""' if value is None else toml_literal(msgspec.to_builtins(value, enc_hook=str))


def _unwrap(type_: Any) -> tuple[Any, list[msgspec.Meta]]:
    if get_origin(type_) is Annotated:
        bare, *metas = get_args(type_)
        return bare, [meta for meta in metas if isinstance(meta, msgspec.Meta)]
    return type_, []


def _takes(type_: Any) -> str:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return " or ".join(f"`{toml_literal(choice)}`" for choice in arguments)
    if origin in (tuple, list):
        return f"list of: {_takes(_unwrap(arguments[0])[0])}"
    if origin is dict:
        return f"table of: {_takes(_unwrap(arguments[1])[0])}"
    if arguments:
        return " or ".join(_takes(_unwrap(a)[0]) for a in arguments if a is not type(None))
    return _TYPE_NAMES.get(type_, getattr(type_, "__name__", str(type_)))


def _bounds(metas: list[msgspec.Meta]) -> str:
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    bounds = [
        f"{sign} {getattr(meta, name)}"
        for meta in metas
        for name, sign in signs
        if getattr(meta, name) is not None
    ]
    return f", {', '.join(bounds)}" if bounds else ""


def _first_paragraph(struct: type[msgspec.Struct]) -> str:
    return " ".join((inspect.getdoc(struct) or "").partition("\n\n")[0].split())


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


_EXAMPLE_TAIL: Final = """\
# Applications may be declared here. At start they are created if they do not exist, and
# updated if they differ. `nexxus app` manages other applications.
#
# [[applications]]
# id = "tasks"
# name = "Tasks"
# schema.task.fields.title = { type = "string", required = true }
# schema.task.fields.status = { type = "string", filterable = true }

# A plugin's own settings, under the name of what it provides.
#
# [plugins.audit-log]
# path = "audit.jsonl"\
"""

_INTRODUCTION: Final = """\
# Configuration

```toml
# nexxus.toml, in the directory where `nexxus serve` runs
[api]
port = 9000

[logger]
format = "json"
```

A setting is taken from the first of these sources that has it:

1. the command line: `--set section.key=value`, and short options such as `--port`;
2. the environment: `NEXXUS_<SECTION>__<KEY>`, for example `NEXXUS_API__PORT=9000`; a variable
   without a double underscore is not a setting;
3. configuration providers: plugins named in `server.config_providers`;
4. the file: `--config FILE`, otherwise `nexxus.toml` in the working directory, if it exists;
5. the default.

Values on the command line and in the environment are read as TOML if that fits the key's type,
otherwise as text: `NEXXUS_API__CORS_ORIGINS='["https://app.example"]'`, `--set logger.format=json`.

`nexxus config check` validates the configuration. `nexxus config show` prints every effective
setting and its source, with secrets masked. An unknown key or a value of the wrong type is an error
that names its source and the nearest key; the process then exits with status 2.

Times are in seconds and sizes in bytes unless stated otherwise. `make reference` generates this
page from the settings' definitions.

## References

A value, or part of it, may be a reference to a secret stored elsewhere:

```toml
[admin]
key = "${file:/run/secrets/admin-key}"

[broker]
adapter = "rabbitmq"
url = "amqp://nexxus:${env:RABBITMQ_PASSWORD}@rabbitmq:5672/"
```

`${env:NAME}` is replaced by an environment variable and `${file:/path}` by a file's text, without
its final line break. Any other name is a configuration provider from a plugin, as in
`${vault:nexxus/database#password}`; `nexxus plugins` lists them. References work in every source
and every value, including lists, tables and `[[applications]]`. A provider's own section may refer
to another provider.

- A reference may also be used for a number or a list: its text is then read as TOML.
- References are resolved at start, and only for effective values: a reference that a source of
  higher priority replaces is not looked up. If a reference cannot be resolved, the server does not
  start; the error names the key, the reference, its provider and what to do.
- `nexxus config show` and the logs show the reference, not its value.
- Write `$${` for a literal `${`.
"""

_OUTRO: Final = """\
## `[[applications]]`

Each entry is an application document as for `POST /admin/applications`, with an `id`. Keys have the
same names in TOML as in JSON. Only the list from the source of highest priority is used.

## `[plugins.<name>]`

The settings of a plugin's custom worker, transport, sign-in strategy or configuration provider,
under its name, as those of Nexxus's own above. In the environment, write an underscore for a hyphen
in the name: `NEXXUS_PLUGINS__AUDIT_LOG__PATH`. `nexxus plugins` lists the names.
"""

if __name__ == "__main__":
    forms = {"--example": example, "--markdown": markdown}
    if len(sys.argv) != 2 or sys.argv[1] not in forms:
        sys.exit(f"usage: python -m nexxus.config.reference {' | '.join(forms)}")
    sys.stdout.write(forms[sys.argv[1]]())
