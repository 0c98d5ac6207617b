"""The description of the WebSocket's frames."""

from __future__ import annotations

from nexxus.api.asyncapi import describe_frames
from nexxus.domain.frames import CLIENT_EVENTS, OPERATIONS

MESSAGES = describe_frames(version="1.0")["components"]["messages"]


def test_every_frame_that_a_client_may_send_is_described_and_no_other() -> None:
    described = {name for name in MESSAGES if name.startswith("client.")}
    assert described == {f"client.{event}" for event in CLIENT_EVENTS}


def test_an_operation_carries_a_ref_and_so_does_its_reply() -> None:
    with_ref = {name for name, each in MESSAGES.items() if "ref" in each["payload"]["properties"]}
    assert with_ref == {*(f"client.{event}" for event in OPERATIONS), "server.reply"}
