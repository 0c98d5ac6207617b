"""Resolves settings: which key each one sets, and which source wins."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from nexxus.config.conversion import Converter, bare, has_references, struct_in
from nexxus.config.references import Reference
from nexxus.config.sections import AdapterSection
from nexxus.config.sources import Setting
from nexxus.errors import ConfigurationError
from nexxus.plugins import AdapterKind, Catalog

S = TypeVar("S", bound=msgspec.Struct)

ADAPTER_SECTIONS: Final[Mapping[str, tuple[AdapterKind, str]]] = {
    "database": (AdapterKind.DATABASE, "sqlite"),
    "broker": (AdapterKind.BROKER, "in-process"),
    "registry": (AdapterKind.REGISTRY, "in-process"),
    "logger": (AdapterKind.LOGGER, "loguru"),
}
"""The sections that select an adapter, with the adapter's kind and the default adapter."""

DEFAULT: Final = "default"
_ADAPTER_KEY: Final = "adapter"
_APPLICATIONS: Final = "applications"
_PLUGINS: Final = "plugins"
_NEAR: Final = 0.6


class Resolver:
    """Builds sections from the settings of all sources, given in ascending priority.

    Every method raises `ConfigurationError`, which names the source and the key. When sections are
    built, `origins` and `references` are filled: they map dotted keys to their source, and to the
    text in which references were resolved. `resolve` is called only for effective values, not for
    those that a source of higher priority replaces.
    """

    def __init__(
        self,
        settings: Iterable[Setting],
        sections: Mapping[str, type[msgspec.Struct]],
        catalog: Catalog,
        resolve: Callable[[Reference], str],
    ) -> None:
        self.origins: dict[str, str] = {}
        self._values = Converter(resolve)
        self._sections = sections
        self._catalog = catalog
        self._known = sorted([*sections, *ADAPTER_SECTIONS, _APPLICATIONS, _PLUGINS])
        self._settings: dict[str, list[Setting]] = {name: [] for name in self._known}
        for setting in settings:
            section = _match(setting.path[0], self._known, setting)
            if section is None:
                raise self._unknown_section(setting)
            self._settings[section].append(setting)

    @property
    def references(self) -> Mapping[str, str]:
        """The texts in which references were resolved, by dotted key."""
        return self._values.references

    def section(self, name: str, kind: type[S]) -> S:
        """Return the section with this name as its struct."""
        return self._build((name,), kind, self._settings[name])

    def adapter(self, name: str) -> AdapterSection:
        """Return a section that selects an adapter, with the adapter's own settings."""
        kind, selected = ADAPTER_SECTIONS[name]
        origin, own = DEFAULT, []
        for setting in self._settings[name]:
            if len(setting.path) > 1 and setting.path[1] == _ADAPTER_KEY:
                selected = self._values.convert(setting, str, (name, _ADAPTER_KEY))
                origin = setting.origin
            else:
                own.append(setting)
        self.origins[f"{name}.{_ADAPTER_KEY}"] = origin
        adapter = self._catalog.get(kind, selected)
        if adapter is None:
            raise self._unknown_name(kind, selected, f"{name}.{_ADAPTER_KEY}", origin)
        struct = adapter.settings or _Nothing
        settings = self._build((name,), struct, own, also=(_ADAPTER_KEY,))
        return AdapterSection(selected, None if struct is _Nothing else settings, adapter.scope)

    def plugins(self, selected: Iterable[str] = ()) -> dict[str, msgspec.Struct]:
        """Return the given ``[plugins.<name>]`` sections, and those of the `selected` names."""
        names = dict.fromkeys([*selected, *self._plugin_settings()])
        built = {name: self.plugin(name) for name in names}
        return {name: settings for name, settings in built.items() if settings is not None}

    def plugin(self, name: str) -> msgspec.Struct | None:
        """Return the settings of one plugin, or None if it has none."""
        struct = self._catalog.plugin_sections[name].settings or _Nothing
        settings = self._plugin_settings().get(name, [])
        built = self._build((_PLUGINS, name), struct, settings)
        return None if struct is _Nothing else built

    def _plugin_settings(self) -> dict[str, list[Setting]]:
        known = list(self._catalog.plugin_sections)
        given: dict[str, list[Setting]] = {}
        for setting in self._settings[_PLUGINS]:
            if len(setting.path) == 1:
                self._expect_table(setting)
                continue
            name = _match(setting.path[1], known, setting)
            if name is None:
                raise ConfigurationError(
                    f"{setting.origin}: unknown key {setting.key}: no plugin {setting.path[1]!r} "
                    f"is installed{_nearest(setting.path[1], known)}"
                )
            given.setdefault(name, []).append(setting)
        return given

    def applications(self) -> tuple[dict[str, Any], ...]:
        """Return the documents of the declared applications.

        They all come from the source of highest priority that declares any.
        """
        documents: tuple[dict[str, Any], ...] = ()
        for setting in self._settings[_APPLICATIONS]:
            documents = self._values.convert(setting, tuple[dict[str, Any], ...], (_APPLICATIONS,))
            self.origins[_APPLICATIONS] = setting.origin
        return documents

    def check_names(self, kind: AdapterKind, names: Sequence[str], key: str) -> None:
        """Raise unless each name listed by `key` is an adapter of that kind."""
        for name in names:
            if self._catalog.get(kind, name) is None:
                raise self._unknown_name(kind, name, key, self.origins[key])

    def _build(
        self,
        prefix: tuple[str, ...],
        struct: type[S],
        settings: Sequence[Setting],
        also: Sequence[str] = (),
    ) -> S:
        found: dict[tuple[str, ...], list[tuple[Setting, Any]]] = {}
        for setting in settings:
            if len(setting.path) == len(prefix):
                self._expect_table(setting)
                continue
            located = _locate(struct, setting, len(prefix))
            if located is None:
                raise self._unknown_key(setting, prefix, struct, also)
            path, type_ = located
            if struct_in(type_) is None or setting.value != {}:
                found.setdefault(path, []).append((setting, type_))
        values: dict[str, Any] = {}
        for path, candidates in found.items():
            key = (*prefix, *path)
            for setting, type_ in candidates[:-1]:
                if not has_references(setting):  # even a replaced value must be valid
                    self._values.convert(setting, type_, key)
            setting, type_ = candidates[-1]
            _put(values, path, self._values.convert(setting, type_, key))
            self.origins[".".join(key)] = setting.origin
        return self._construct(prefix, struct, values, settings)

    def _construct(
        self,
        prefix: tuple[str, ...],
        struct: type[S],
        values: Mapping[str, Any],
        settings: Sequence[Setting],
    ) -> S:
        arguments: dict[str, Any] = {}
        for field in msgspec.structs.fields(struct):
            key = (*prefix, field.encode_name)
            dotted = ".".join(key)
            nested = struct_in(field.type)
            if field.encode_name in values:
                value = values[field.encode_name]
                if nested is not None and isinstance(value, dict):
                    value = self._construct(key, nested, value, settings)
                arguments[field.name] = value
            elif field.required:
                raise ConfigurationError(
                    f"{dotted} has no default and must be set: in the file, or as "
                    f"NEXXUS_{'__'.join(key).upper().replace('-', '_')} in the environment"
                )
            else:
                self.origins.setdefault(dotted, DEFAULT)
        try:
            return struct(**arguments)
        except ValueError as error:
            origins = sorted({setting.origin for setting in settings})
            raise ConfigurationError(
                f"{', '.join(origins) or DEFAULT}: [{'.'.join(prefix)}]: {error}"
            ) from error

    def _expect_table(self, setting: Setting) -> None:
        if setting.value != {}:
            raise ConfigurationError(
                f"{setting.origin}: {setting.key} is a section, not a value; "
                f"set one of its keys, as in {setting.key}.key = value"
            )

    def _unknown_section(self, setting: Setting) -> ConfigurationError:
        name = setting.path[0]
        hint = _nearest(name, self._known)
        if len(setting.path) == 1:  # perhaps a key written above the first section
            homes = [section for section, s in self._sections.items() if name in _keys(s)]
            hint = f"; did you mean {homes[0]}.{name}?" if homes else hint
        return ConfigurationError(
            f"{setting.origin}: unknown key {setting.key}: there is no section [{name}]{hint}"
        )

    def _unknown_key(
        self,
        setting: Setting,
        prefix: tuple[str, ...],
        struct: type[msgspec.Struct],
        also: Sequence[str],
    ) -> ConfigurationError:
        section = ".".join(prefix)
        wanted = ".".join(setting.path[len(prefix) :])
        here = [*also, *_keys(struct)]
        near = difflib.get_close_matches(wanted, here, 1, _NEAR)
        candidates = [f"{section}.{key}" for key in near or here]
        if not near:
            candidates += [
                f"{name}.{key}" for name, s in self._sections.items() for key in _keys(s)
            ]
        hint = _nearest(f"{section}.{wanted}", candidates)
        return ConfigurationError(f"{setting.origin}: unknown key {section}.{wanted}{hint}")

    def _unknown_name(
        self, kind: AdapterKind, name: str, key: str, origin: str
    ) -> ConfigurationError:
        known = self._catalog.names(kind)
        installed = f"installed: {', '.join(known)}" if known else "none is installed"
        return ConfigurationError(
            f"{origin}: {key}: there is no {kind} {name!r}{_nearest(name, known)} ({installed})"
        )


class _Nothing(msgspec.Struct, frozen=True):
    """The empty settings of an adapter without settings."""


def _locate(
    struct: type[msgspec.Struct], setting: Setting, depth: int
) -> tuple[tuple[str, ...], Any] | None:
    """Return the canonical path below `depth` and its declared type, or None for no such key."""
    type_: Any = struct
    path: list[str] = []
    for component in setting.path[depth:]:
        nested = struct_in(type_)
        plain = bare(type_)
        if nested is not None:
            fields = {field.encode_name: field.type for field in msgspec.structs.fields(nested)}
            name = _match(component, list(fields), setting)
            if name is None:
                return None
            type_ = fields[name]
        elif get_origin(plain) in (dict, Mapping):
            name, type_ = component, get_args(plain)[1]
        elif plain is Any:
            name = component
        else:
            return None
        path.append(name)
    return tuple(path), type_


def _match(component: str, names: Sequence[str], setting: Setting) -> str | None:
    """Return the name that a path component stands for, or None.

    Names from the environment match regardless of case, with underscores for hyphens.
    """
    if component in names:
        return component
    if setting.origin.startswith("environment "):
        for name in names:
            if name.lower().replace("-", "_") == component:
                return name
    return None


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for component in path[:-1]:
        values = values.setdefault(component, {})
    values[path[-1]] = value


def _keys(struct: type[msgspec.Struct]) -> list[str]:
    keys = []
    for field in msgspec.structs.fields(struct):
        nested = struct_in(field.type)
        if nested is None:
            keys.append(field.encode_name)
        else:
            keys += [f"{field.encode_name}.{key}" for key in _keys(nested)]
    return keys


def _nearest(word: str, candidates: Sequence[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, candidates, 1, 0.0)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
