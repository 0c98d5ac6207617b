"""Frames as bytes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from nexxus.adapters.websockets.framing import JSON, MSGPACK
from nexxus.api.mounts.handshake import choose_subprotocol
from nexxus.errors import InvalidParameters
from nexxus.gateway.connections.frames import (
    ClientFrame,
    UnfitFrame,
    encode_frame,
    encode_value,
    parse_frame,
)
from nexxus.interfaces.transport import SUBPROTOCOLS, Encoding, Framing, ServerFrame
from nexxus.toolkit.web_socket_frames import split_messages


def parse(payload: bytes, encoding: Encoding = Encoding.JSON, **options: Any) -> ClientFrame:
    return parse_frame(payload, **{"encoding": encoding, "max_depth": 64} | options)


def read(frame: bytes) -> Frame:
    """Decode a frame with a client's library."""
    reader, none = StreamReader(), list[Extension]()
    reader.feed_data(frame)
    parser = Frame.parse(reader.read_exact, mask=False, extensions=none)
    with pytest.raises(StopIteration) as done:
        next(parser)
    return done.value.value  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [0, 1, 50, 125, 126, 127, 5000, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("framing", [JSON, MSGPACK])
def test_an_encoded_frame_is_one_a_client_can_read(framing: Framing, size: int) -> None:
    data = {"x": "y" * size}

    frame = encode_frame(framing, "reply", data, ref="r")

    found = read(frame)
    decode = json.loads if framing is JSON else msgspec.msgpack.decode
    assert found.fin
    assert found.opcode is (Opcode.TEXT if framing is JSON else Opcode.BINARY)
    assert decode(bytes(found.data)) == {"event": "reply", "ref": "r", "data": data}


@given(st.lists(st.text(max_size=300), min_size=1, max_size=6))
def test_joined_frames_can_be_separated(texts: list[str]) -> None:
    joined = b"".join(encode_frame(JSON, "x", text) for text in texts)

    found = split_messages(joined)

    assert [json.loads(bytes(message.payload))["data"] for message in found] == texts
    assert all(message.is_text for message in found)


def test_a_frame_names_its_channels() -> None:
    seen: list[ServerFrame] = []

    class Recording(Framing):
        def frame(self, frame: ServerFrame) -> bytes:
            seen.append(frame)
            return b""

    encode_frame(Recording(), "x", {}, cursor="n:1", channels=["c1", "c2"])
    encode_frame(Recording(), "reply", {}, ref="r")

    assert [(frame.channels, frame.cursor, frame.ref) for frame in seen] == [
        (("c1", "c2"), "n:1", None),
        ((), None, "r"),
    ]


@pytest.mark.parametrize("framing", [JSON, MSGPACK])
def test_a_part_that_is_already_encoded_is_not_changed(framing: Framing) -> None:
    part = {"title": "é", "points": [1, 2.5, None]}

    frame = encode_frame(framing, "x", {"model": encode_value(framing.encoding, part)})

    assert frame == encode_frame(framing, "x", {"model": part})


def test_a_frame_without_a_ref_has_none() -> None:
    frame = parse(b'{"event": "register", "data": {"token": "t"}}')

    assert frame == ClientFrame("register", {"token": "t"})


def test_an_operation_has_its_ref() -> None:
    frame = parse(b'{"data": {"type": "task"}, "ref": "", "event": "create"}')

    assert frame == ClientFrame("create", {"type": "task"}, "")


@pytest.mark.parametrize("data", [b"[]", b"null", b"7", b'"x"'])
def test_an_operation_whose_data_is_no_object_can_be_replied_to(data: bytes) -> None:
    with pytest.raises(UnfitFrame) as refused:
        parse(b'{"event": "create", "ref": "r7", "data": ' + data + b"}")

    assert refused.value.ref == "r7"


def test_an_operation_with_a_key_too_many_can_be_replied_to() -> None:
    with pytest.raises(UnfitFrame, match="extra") as refused:
        parse(b'{"event": "create", "ref": "r7", "data": {}, "extra": 1}')

    assert refused.value.ref == "r7"


def test_other_frames_have_no_ref_for_a_reply() -> None:
    with pytest.raises(InvalidParameters, match="ref") as refused:
        parse(b'{"event": "register", "ref": "r7", "data": {"token": "t"}}')

    assert not isinstance(refused.value, UnfitFrame)


def test_depth_counts_from_the_data() -> None:
    deep = b'{"event": "create", "ref": "r", "data": {"a": [{"b": [1]}]}}'

    assert parse(deep, max_depth=4).data == {"a": [{"b": [1]}]}
    with pytest.raises(UnfitFrame):
        parse(deep, max_depth=3)


@given(st.binary(max_size=200), st.sampled_from(list(Encoding)))
def test_any_bytes_are_decoded_or_refused(payload: bytes, encoding: Encoding) -> None:
    with contextlib.suppress(InvalidParameters):
        assert isinstance(parse(payload, encoding), ClientFrame)


@given(
    st.recursive(
        st.none() | st.integers(-(2**63), 2**63) | st.binary(max_size=5) | st.datetimes(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.integers(0, 5) | st.text(max_size=3), inner, max_size=3)
        ),
    )
)
def test_messagepack_values_are_plain_or_refused(value: Any) -> None:
    packed = msgspec.msgpack.encode({"event": "create", "ref": "r", "data": value})
    try:
        frame = parse(packed, Encoding.MSGPACK)
    except InvalidParameters:
        return
    assert json.loads(json.dumps(frame.data)) == frame.data


def test_the_first_supported_subprotocol_is_chosen() -> None:
    known = tuple(SUBPROTOCOLS)
    offered = ["x", "nexxus.v1.msgpack", "nexxus.v1.json"]
    assert choose_subprotocol(offered, known) == "nexxus.v1.msgpack"
    assert choose_subprotocol(["x"], known) is None
    assert choose_subprotocol([], known) is None
