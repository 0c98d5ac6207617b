"""Frames as server-sent events."""

from __future__ import annotations

import json

import pytest

from nexxus.adapters.sse.framing import FRAMING, encode_close, encode_event, encode_retry
from nexxus.interfaces.transport import CloseCode, ServerFrame


def test_a_frame_is_an_event_with_its_cursor_as_id() -> None:
    frame = ServerFrame("model_created", b'{"x":1}', cursor="n1:ab-7", channels=("c1",))

    assert FRAMING.frame(frame) == b'event: model_created\nid: n1:ab-7\ndata: {"x":1}\n\n'


def test_a_frame_without_a_cursor_leaves_the_last_id_as_it_was() -> None:
    assert FRAMING.frame(ServerFrame("error", b"{}")) == b"event: error\ndata: {}\n\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_in_the_data_do_not_end_the_event(end: str) -> None:
    data = f'{{{end}"x": 1{end}{end}}}'.encode()

    event = encode_event("e", data)

    assert event == b'event: e\ndata: {\ndata: "x": 1\ndata: \ndata: }\n\n'


@pytest.mark.parametrize(
    ("code", "id_line"),
    [
        (CloseCode.LOGGED_OUT, "id: ended:4001"),
        (CloseCode.TOKEN_EXPIRED, "id: ended:4002"),
        (CloseCode.REPLACED, "id: ended:4003"),
        (CloseCode.GOING_AWAY, None),
        (CloseCode.SLOW_CONSUMER, None),
    ],
)
def test_a_close_after_which_nobody_is_to_come_back_says_so_by_its_id(
    code: CloseCode, id_line: str | None
) -> None:
    lines = encode_close(code, "why").decode().split("\n")

    assert lines[0] == "event: close"
    assert [line for line in lines if line.startswith("id:")] == ([id_line] if id_line else [])
    (data,) = [line for line in lines if line.startswith("data: ")]
    assert json.loads(data.removeprefix("data: ")) == {"code": int(code), "reason": "why"}
    assert lines[-2:] == ["", ""]


def test_the_pause_before_a_reconnect_is_in_milliseconds() -> None:
    assert encode_retry(1.2345) == b"retry: 1234\n\n"
