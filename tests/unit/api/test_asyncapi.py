"""The description of the frames of live connections."""

from __future__ import annotations

from nexxus.api.asyncapi import describe_frames
from nexxus.domain.frames import CLIENT_EVENTS, OPERATIONS

MESSAGES = describe_frames(version="1.0")["components"]["messages"]


def test_every_frame_that_a_client_may_send_is_described_and_no_other() -> None:
    described = {name for name in MESSAGES if name.startswith("client.")}
    assert described == {f"client.{event}" for event in CLIENT_EVENTS}


def test_an_operation_and_its_reply_have_a_ref() -> None:
    with_ref = {
        name
        for name, each in MESSAGES.items()
        if not name.startswith("stream.") and "ref" in each["payload"]["properties"]
    }
    assert with_ref == {*(f"client.{event}" for event in OPERATIONS), "server.reply"}


def test_a_stream_has_the_servers_frames_but_replies_and_what_only_it_has() -> None:
    frames, stream = (
        {name.partition(".")[2] for name in MESSAGES if name.startswith(side)}
        for side in ("server.", "stream.")
    )
    assert frames - stream == {"reply", "refresh_access_token", "pong"}
    assert stream - frames == {"subscribed", "close"}
