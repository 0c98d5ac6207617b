"""Push rules: what an application says about the pushes of each of its models.

A rule's texts have places like ``{title}`` or ``{location.name}``, which an object fills.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from nexxus.domain.decoding import convert
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filter_parser import parse_filter
from nexxus.domain.misfits import check_keys, misfit
from nexxus.domain.objects import Document
from nexxus.domain.schema import BUILT_IN_FIELDS, Field, Kind, ModelType
from nexxus.errors import InvalidParameters

Occasion: TypeAlias = Literal["created", "updated", "deleted"]
"""What happened to an object, as a channel sees it: one that leaves a filter is deleted there."""

DEFAULT_QUIET: Final = 5.0
_LONGEST_QUIET: Final = 3600.0
_MAX_TEMPLATE: Final = 1024
_MAX_TITLE: Final = 200
_MAX_BODY: Final = 1000
_MAX_COLLAPSE: Final = 64

_PLACE: Final = re.compile(r"\{([A-Za-z][A-Za-z0-9_.]*)\}")


class Template:
    """A text with places, of which each names a field of a model."""

    def __init__(self, text: str, fields: Mapping[str, Field], longest: int) -> None:
        self._text = text
        self._fields = fields
        self._longest = longest

    def render(self, document: Document) -> str:
        """Return the text with the object's values, cut to its longest length."""
        text = _PLACE.sub(lambda place: self._value(place[1], document), self._text)
        return text if len(text) <= self._longest else f"{text[: self._longest - 1]}…"

    def _value(self, path: str, document: Document) -> str:
        value: Any = document
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return ""
        if self._fields[path].kind is Kind.DATE:
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
        return str(value).lower() if isinstance(value, bool) else str(value)


class PushRule(msgspec.Struct, frozen=True):
    """How one model's objects are pushed.

    Only what happens `on` these occasions to an object that `matches` is pushed. The pushes of a
    device within `quiet` seconds become one.
    """

    title: Template
    body: Template
    on: frozenset[Occasion]
    matches: Callable[[Document], bool]
    quiet: float
    collapse: Template


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    body: str
    on: tuple[Occasion, ...]
    filter: dict[str, Any] | None = None
    quiet: float = DEFAULT_QUIET
    collapse: str = ""


def compile_push_rules(document: Any, models: Mapping[str, ModelType]) -> dict[str, PushRule]:
    """Compile ``push`` of an application document, by model.

    Raises `InvalidParameters`, naming the key and the rule.
    """
    if not isinstance(document, dict):
        raise misfit("push", "expected an object with a rule for each model that is pushed")
    return {name: _compile(name, rule, models) for name, rule in document.items()}


def _compile(name: str, document: Any, models: Mapping[str, ModelType]) -> PushRule:
    where = f"push.{name}"
    model = models.get(name)
    if model is None or not model.subscribable:
        raise misfit(where, "there is no model of that name that can be subscribed to")
    if not isinstance(document, dict):
        raise misfit(where, "expected an object with 'title', 'body' and 'on'")
    check_keys(document, _Rule.__struct_encode_fields__, where)
    try:
        rule = convert(document, _Rule)
        matches = _everything if rule.filter is None else _matcher(rule.filter, model)
    except InvalidParameters as error:
        raise misfit(where, error.message) from error
    if not rule.title:
        raise misfit(f"{where}.title", "expected a text; for silent pushes leave the rule out")
    if not 0 <= rule.quiet <= _LONGEST_QUIET:
        raise misfit(f"{where}.quiet", f"expected 0 up to {_LONGEST_QUIET:g} seconds")
    fields = {**BUILT_IN_FIELDS, **model.paths}
    return PushRule(
        title=_template(rule.title, fields, f"{where}.title", _MAX_TITLE),
        body=_template(rule.body, fields, f"{where}.body", _MAX_BODY),
        on=frozenset(rule.on),
        matches=matches,
        quiet=rule.quiet,
        collapse=_template(rule.collapse, fields, f"{where}.collapse", _MAX_COLLAPSE),
    )


def _template(text: str, fields: Mapping[str, Field], where: str, longest: int) -> Template:
    if len(text) > _MAX_TEMPLATE:
        raise misfit(where, f"expected {_MAX_TEMPLATE} characters at most")
    for place in _PLACE.finditer(text):
        field = fields.get(place[1])
        if field is None:
            raise misfit(where, f"the model has no field {place[1]!r}")
        if field.kind in (Kind.ARRAY, Kind.OBJECT):
            raise misfit(where, f"{place[1]!r} is no single value")
    return Template(text, fields, longest)


def _matcher(document: Any, model: ModelType) -> Callable[[Document], bool]:
    return compile_matcher(parse_filter(document, model))


def _everything(_: Document) -> bool:
    return True
