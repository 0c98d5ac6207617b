"""Decoding: from a client's bytes to validated values, or a 400 that says what is wrong.

JSON and MessagePack are equivalent: values that JSON lacks (binary, timestamps, keys that are not
strings, NaN) are rejected in MessagePack too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from nexxus.domain.spelling import hint
from nexxus.errors import InvalidParameters

T = TypeVar("T")

_AT: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?")
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class Decoder:
    """Decodes bodies of one type, in either format.

    `type` is the type of the body; a struct rejects keys that it does not define.
    """

    def __init__(self, type: Any) -> None:
        self._json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(type)
        self._type = type

    def decode_json(self, data: bytes, *, max_depth: int) -> Any:
        """Decode and validate a JSON text. Raises `InvalidParameters`."""
        try:
            # Brackets within strings are counted too; the exact check then decides.
            if data.count(b"{") + data.count(b"[") > max_depth:
                check_depth(msgspec.json.decode(data), max_depth)
            try:
                return self._json.decode(data)
            except msgspec.ValidationError:
                value = msgspec.json.decode(data)
        except RecursionError:
            raise _too_deep(max_depth) from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise explain(error, "JSON") from None
        return convert(value, self._type)

    def decode_msgpack(self, data: bytes, *, max_depth: int) -> Any:
        """Decode and validate a MessagePack message. Raises `InvalidParameters`."""
        try:
            value = msgspec.msgpack.decode(data)
        except RecursionError:
            raise _too_deep(max_depth) from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise explain(error, "MessagePack") from None
        check_depth(value, max_depth)
        check_plain(value)
        return convert(value, self._type)


def convert(value: Any, type: type[T], where: str = "") -> T:
    """Convert a decoded `value` to `type`. Raises `InvalidParameters`.

    `where` is the dotted path of the value in the body, empty for the whole body. Whole floats are
    accepted as integers, because languages with a single number type send 1 as 1.0.
    """
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        whole = _with_whole_numbers(value)
        if whole is None:
            known = getattr(type, "__struct_encode_fields__", ())
            raise explain(error, "body", where, known) from None
        return convert(whole, type, where)


def _with_whole_numbers(value: Any) -> dict[Any, Any] | None:
    """Return an object with its whole floats as integers, or None if it has none.

    Nested values are unchanged, because they may belong to a stored document.
    """
    if not isinstance(value, dict):
        return None
    whole = {
        key: int(item)
        for key, item in value.items()
        if isinstance(item, float) and item.is_integer()
    }
    return {**value, **whole} if whole else None


def check_depth(value: Any, max_depth: int) -> None:
    """Raise `InvalidParameters` if `value` is nested more than `max_depth` levels deep."""
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise _too_deep(max_depth)
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]


def check_plain(value: Any) -> None:
    """Raise `InvalidParameters` for values that JSON lacks; it names their place.

    Recursive, so the depth of `value` must have been checked.
    """
    found = _find_alien(value)
    if found is None:
        return
    rule, message = found.rule, found.message
    where = ".".join(reversed(found.path))
    if where:
        raise InvalidParameters(f"{where}: {message}", {"field": where, "rule": rule})
    raise InvalidParameters(message, {"rule": rule})


class _Alien(msgspec.Struct):
    """A value that JSON lacks. `path` leads to it, from the inside out."""

    rule: str
    message: str
    path: list[str] = []


def _find_alien(value: Any) -> _Alien | None:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return _Alien("keys", f"the key {key!r:.60} is not a string")
            found = _find_alien(item)
            if found is not None:
                found.path.append(key)
                return found
    elif kind is list:
        for position, item in enumerate(value):
            found = _find_alien(item)
            if found is not None:
                found.path.append(str(position))
                return found
    elif kind not in _PLAIN:
        return _Alien("types", f"a {kind.__name__} is not allowed; use a type that JSON has")
    elif kind is float and not math.isfinite(value):
        return _Alien("finite", f"{value} is not allowed; numbers are finite")
    return None


def explain(
    error: Exception, what: str, where: str = "", known: Iterable[str] = ()
) -> InvalidParameters:
    """Translate a decoder's error to one that names the field and the rule.

    `known` are the keys of the value at `where`, to suggest one instead of an unknown key.
    """
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return InvalidParameters(f"the {what} cannot be read: {text}", {"rule": "syntax"})
    at = _AT.search(text)
    if at is not None:
        where = _join(where, at.group(1))
        text = text[: at.start()]
    if unknown := _UNKNOWN.match(text):
        field = _join(where, unknown.group(1))
        suggestion = "" if at is not None else hint(unknown.group(1), known)
        return InvalidParameters(
            f"{field}: unknown key{suggestion}", {"field": field, "rule": "unknown"}
        )
    if missing := _MISSING.match(text):
        field = _join(where, missing.group(1))
        return InvalidParameters(f"{field} is required", {"field": field, "rule": "required"})
    rule = text[:1].lower() + text[1:]
    if expected := _EXPECTED.fullmatch(text):
        wanted, got = expected.groups()
        rule = "expected " + " or ".join(wanted.split(" | ")) + (f", got {got}" if got else "")
    rule = rule.replace("`", "")
    if not where:
        return InvalidParameters(f"the body: {rule}", {"rule": rule})
    return InvalidParameters(f"{where}: {rule}", {"field": where, "rule": rule})


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _too_deep(max_depth: int) -> InvalidParameters:
    return InvalidParameters(
        f"the body is nested more than {max_depth} levels deep", {"rule": "limits.depth"}
    )
