"""The sources of settings: a file, the environment, the command line, other mappings.

Every source is read into `Setting`s, which have an origin. `nexxus.config.resolve` validates them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nexxus.errors import ConfigurationError

DEFAULT_FILE: Final = Path("nexxus.toml")
ENVIRONMENT_PREFIX: Final = "NEXXUS_"


class Setting(msgspec.Struct, frozen=True):
    """One value at one path, and its source.

    If `raw` is true, the value is text that may be parsed as TOML, depending on the key's type.
    """

    path: tuple[str, ...]
    value: Any
    origin: str
    raw: bool = False

    @property
    def key(self) -> str:
        """The dotted path."""
        return ".".join(self.path)


def from_file(file: Path | None) -> list[Setting]:
    """Read the settings of a TOML file. None: read `DEFAULT_FILE` if it exists."""
    if file is None:
        if not DEFAULT_FILE.is_file():
            return []
        file = DEFAULT_FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"file {file}: no such file") from None
    except OSError as error:
        raise ConfigurationError(f"file {file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"file {file}: is not valid TOML: {error}") from error
    return from_mapping(document, f"file {file}")


def from_mapping(document: Mapping[str, Any], origin: str) -> list[Setting]:
    """Return the settings of nested mappings."""
    return list(_leaves(document, (), origin))


def from_environment(environ: Mapping[str, str]) -> list[Setting]:
    """Return the settings of variables such as ``NEXXUS_API__PORT``, sorted by name."""
    return [
        Setting(_environment_path(name), environ[name], f"environment {name}", raw=True)
        for name in sorted(environ)
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name[len(ENVIRONMENT_PREFIX) :]
    ]


def from_overrides(overrides: Iterable[str]) -> list[Setting]:
    """Parse ``section.key=value`` texts, as given to ``--set``; the last one wins."""
    settings = []
    for override in overrides:
        key, equals, value = override.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            raise ConfigurationError(
                f"command line --set {key}: expected section.key=value, such as api.port=9000"
            )
        settings.append(Setting(path, value, f"command line --set {'.'.join(path)}", raw=True))
    return settings


def toml_value(text: str) -> Any:
    """Parse a text as one TOML value. Raises `ValueError` if it is not exactly one."""
    document = tomllib.loads(f"value = {text}")
    if document.keys() != {"value"}:
        raise ValueError("more than one value")
    return document["value"]


def _environment_path(name: str) -> tuple[str, ...]:
    return tuple(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"))


def _leaves(document: Mapping[str, Any], path: tuple[str, ...], origin: str) -> Iterator[Setting]:
    for key, value in document.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here, origin)
        else:
            yield Setting(here, value, origin)
