"""The format of responses."""

from __future__ import annotations

import pytest

from nexxus.api.responses import JSON, MSGPACK, Answer, Raw, encode


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        (b"*/*", JSON),
        (b"text/html", JSON),
        (b"application/msgpack", MSGPACK),
        (b"Application/MsgPack; q=0.5", MSGPACK),
        (b"application/msgpack, application/json", MSGPACK),
        (b"application/json, application/msgpack;q=0.9", JSON),
        (b"application/msgpack;q=0, */*", JSON),
        (b"application/msgpack;q=nonsense", MSGPACK),
        (b"application/x-msgpack", JSON),
    ],
)
def test_the_response_has_the_preferred_format(accept: bytes | None, media_type: bytes) -> None:
    assert encode(Answer(200, {}), accept)[1] == media_type


def test_bytes_are_not_encoded_again() -> None:
    assert encode(Raw(200, b"x", b"text/plain"), b"application/msgpack") == (b"x", b"text/plain")
