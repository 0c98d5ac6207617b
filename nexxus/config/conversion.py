"""Converts the values of settings to the types of their keys, resolving references."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from nexxus.config.references import (
    Reference,
    leaves,
    references_in,
    replace,
    replace_leaves,
)
from nexxus.config.sources import Setting, toml_value
from nexxus.errors import ConfigurationError, StartupError


class Converter:
    """Converts settings, and resolves their references with `resolve`.

    For each value with a resolved reference, `references` maps the dotted key to the text as it was
    written. Within lists and tables, the key continues with the index or the name.
    """

    def __init__(self, resolve: Callable[[Reference], str]) -> None:
        self.references: dict[str, str] = {}
        self._resolve = resolve

    def convert(self, setting: Setting, type_: Any, key: tuple[str, ...]) -> Any:
        """Return a setting's value as `type_`.

        Raw text is read as TOML if the result fits the type, otherwise as a string. A resolved
        reference is used as a string if that fits, otherwise read as TOML.
        """
        candidates = [setting.value]
        if setting.raw:
            with suppress(ValueError):
                candidates.insert(0, toml_value(setting.value))
        reasons = []
        for written in candidates:
            for candidate in self._resolved(written, setting, key):
                try:
                    converted = msgspec.convert(candidate, type_, dec_hook=_decode)
                except msgspec.ValidationError as error:
                    reasons.append(str(error))
                else:
                    self._note_references(written, key)
                    return converted
        raise ConfigurationError(
            f"{setting.origin}: {'.'.join(key)}: {_reason(setting, reasons[0])}{_hint(type_)}"
        )

    def _resolved(self, written: Any, setting: Setting, key: tuple[str, ...]) -> Iterator[Any]:
        """Yield the possible values of a text after its references are resolved."""

        def resolve(reference: Reference) -> str:
            try:
                return self._resolve(reference)
            except (ConfigurationError, StartupError) as error:
                raise type(error)(
                    f"{setting.origin}: {'.'.join(key)}: {reference} cannot be resolved: {error}"
                ) from error

        try:
            resolved = replace_leaves(written, lambda text: replace(text, resolve))
        except ValueError as error:
            raise ConfigurationError(f"{setting.origin}: {'.'.join(key)}: {error}") from None
        yield resolved
        if isinstance(resolved, str) and references_in(written):
            with suppress(ValueError):
                yield toml_value(resolved)

    def _note_references(self, written: Any, key: tuple[str, ...]) -> None:
        for path, text in leaves(written, key):
            if references_in(text):
                self.references[".".join(path)] = text


def has_references(setting: Setting) -> bool:
    """Return whether a setting's value contains references; malformed ones do not count."""
    with suppress(ValueError):
        return any(references_in(text) for _, text in leaves(setting.value))
    return False


def bare(type_: Any) -> Any:
    """Return a type without its annotations."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def struct_in(type_: Any) -> type[msgspec.Struct] | None:
    """Return the struct that a type is or has among its alternatives, otherwise None."""
    plain = bare(type_)
    options = get_args(plain) if get_origin(plain) in (Union, types.UnionType) else (plain,)
    for option in map(bare, options):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _decode(type_: type, value: Any) -> Any:
    if type_ is Path and isinstance(value, str | Path) and value != "":
        return Path(value)
    raise ValueError(f"Expected `{type_.__name__.lower()}`, got `{type(value).__name__}`")


def _choices(type_: Any) -> tuple[Any, ...]:
    """Return the values allowed by a `Literal` type, or by a list of such a type."""
    plain = bare(type_)
    if get_origin(plain) is Literal:
        return get_args(plain)
    elements = get_args(plain) if get_origin(plain) is tuple else ()
    return _choices(elements[0]) if elements else ()


def _hint(type_: Any) -> str:
    choices = _choices(type_)
    return f"; expected one of {', '.join(map(str, choices))}" if choices else ""


def _reason(setting: Setting, reason: str) -> str:
    """Explain why a value does not fit, without showing what references resolve to."""
    if not has_references(setting):
        return reason
    found = [str(each) for _, text in leaves(setting.value) for each in references_in(text)]
    shown = "Invalid value" if reason.startswith("Invalid enum value") else reason
    return f"the value of {' and '.join(dict.fromkeys(found))} does not fit: {shown}"
