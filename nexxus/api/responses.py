"""Answers: what a handler returns, and its encoding to bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

B = TypeVar("B", covariant=True)

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

JSON: Final = b"application/json"
MSGPACK: Final = b"application/msgpack"

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


class Answer(NamedTuple, Generic[B]):
    """A response whose `body` is encoded in the format that the client accepts."""

    status: int
    body: B
    headers: Headers = ()


class Raw(NamedTuple):
    """A response whose `body` is already bytes, of this `media_type`."""

    status: int
    body: bytes
    media_type: bytes
    headers: Headers = ()


AnyAnswer: TypeAlias = Answer[Any] | Raw
"""Whatever a handler returns."""


def encode(answer: AnyAnswer, accept: bytes | None) -> tuple[bytes, bytes]:
    """Return the response's bytes and their media type, depending on the ``Accept`` header."""
    if isinstance(answer, Raw):
        return answer.body, answer.media_type
    # MessagePack is rarely requested, so the header is parsed only if it mentions it.
    if accept is not None and b"msgpack" in accept.lower() and _prefers_msgpack(accept):
        return _msgpack.encode(answer.body), MSGPACK
    return _json.encode(answer.body), JSON


def _prefers_msgpack(accept: bytes) -> bool:
    qualities = {"application/msgpack": 0.0, "application/json": 0.0}
    for entry in accept.decode("latin-1").lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        if media_type in qualities:
            qualities[media_type] = _quality(parameters)
    msgpack = qualities["application/msgpack"]
    return msgpack > 0 and msgpack >= qualities["application/json"]


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 1.0
    return 1.0
