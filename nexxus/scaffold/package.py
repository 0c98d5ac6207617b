"""A new plugin's package: which files it has, and what is in them."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from nexxus.errors import ConfigurationError
from nexxus.hookspecs import INTERFACES
from nexxus.scaffold.kinds import NewKind
from nexxus.version import __version__

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLACEHOLDER: Final = re.compile(r"<<(\w+)>>")


class NewPlugin(msgspec.Struct, frozen=True):
    """A plugin that is to be written: its kind, and the name that a configuration selects it by.

    Raises `ConfigurationError` for a name that cannot be one.
    """

    name: str
    kind: NewKind

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be the name of a plugin: use lower-case letters and digits, "
                "with single hyphens between words, such as audit-log"
            )

    @property
    def distribution(self) -> str:
        """The name of the package for pip."""
        return f"nexxus-{self.name}"

    @property
    def package(self) -> str:
        """The name of the package for Python."""
        return self.distribution.replace("-", "_")


def files_of(plugin: NewPlugin) -> dict[str, str]:
    """Return the files of the package: path → text."""
    kind, package = plugin.kind, plugin.package
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{package}/__init__.py": "__init__.py",
        f"{package}/settings.py": "settings.py",
        f"{package}/{kind.module}.py": f"{kind.module}.py",
        f"tests/test_{kind.module}.py": "test.py",
    }
    texts = {path: _fill(_template(kind, name), plugin) for path, name in templates.items()}
    return {**texts, f"{package}/py.typed": ""}


def write(plugin: NewPlugin, into: Path) -> list[Path]:
    """Write the package into a new folder within `into`; return its files.

    Raises `ConfigurationError` if there is such a folder already, and `OSError`.
    """
    folder = into / plugin.distribution
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already; choose another name, or remove it")
    written = []
    for name, text in files_of(plugin).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _template(kind: NewKind, name: str) -> str:
    templates = files("nexxus.scaffold") / "templates"
    own, common = (templates / folder / f"{name}.txt" for folder in (kind.name, "common"))
    return (own if own.is_file() else common).read_text(encoding="utf-8")


def _fill(template: str, plugin: NewPlugin) -> str:
    kind = plugin.kind
    class_name = "".join(word.capitalize() for word in plugin.name.split("-"))
    values = {
        "name": plugin.name,
        "Name": class_name,
        "distribution": plugin.distribution,
        "package": plugin.package,
        "kind": kind.title,
        "hook": kind.hook,
        "interface_module": kind.interface_module,
        "interface": kind.interface,
        "module": kind.module,
        "implementation": f"{class_name}{kind.suffix}",
        "arguments": kind.arguments,
        "version": str(INTERFACES[kind.hook][-1]),
        "summary": kind.summary,
        "selection": kind.selection.replace("<<name>>", plugin.name),
        "scope": f'\n            scope="{kind.scope}",' if kind.scope else "",
        "dependencies": ", ".join(
            f'"{each}"' for each in (f"nexxus>={__version__}", *kind.dependencies)
        ),
    }
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], template)
