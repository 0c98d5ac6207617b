"""The frames of one event for one device."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexxus.adapters.websockets.framing import JSON, MSGPACK
from nexxus.cluster.messages import Delivery
from nexxus.domain.verdicts import Verdict, while_narrowing
from nexxus.gateway.delivery.cursors import Around
from nexxus.gateway.delivery.frames import DeliveryFrames
from nexxus.toolkit.web_socket_frames import split_messages

EVENT = Delivery("a", "task", "t", 3, user_id="u", object={"id": "t"}, patches=[{"op": "x"}])

AROUND = Around(before="n:0", after="n:1")


def frames(*verdicts: tuple[str, Verdict]) -> list[Any]:
    made = DeliveryFrames(EVENT, AROUND).frames(verdicts, JSON)
    return [json.loads(bytes(split_messages(frame)[0].payload)) for frame in made]


def test_only_the_last_frame_of_a_write_has_the_cursor() -> None:
    verdicts = [(verdict.name, verdict) for verdict in Verdict]

    assert [f["data"]["metadata"]["cursor"] for f in frames(*verdicts)] == ["n:0", "n:0", "n:1"]
    assert [f["data"]["metadata"]["cursor"] for f in frames(verdicts[0])] == ["n:1"]
    assert frames() == []


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ([Verdict.LEFT], "left"),
        ([Verdict.DELETED], "deleted"),
        ([Verdict.LEFT, Verdict.DENIED], "denied"),
        ([Verdict.DELETED, Verdict.DENIED], "denied"),
        ([Verdict.LEFT, Verdict.DELETED], "deleted"),
    ],
)
def test_a_merged_removal_has_the_strongest_reason(verdicts: list[Verdict], reason: str) -> None:
    (frame,) = frames(*((str(n), verdict) for n, verdict in enumerate(verdicts)))

    assert frame["data"]["reason"] == reason
    assert frame["data"]["metadata"]["channels"] == [str(n) for n in range(len(verdicts))]


def test_a_frame_is_encoded_once_for_all_receivers_with_the_same_channels() -> None:
    encoder = DeliveryFrames(EVENT, AROUND)
    verdicts = (("c", Verdict.CREATED),)

    assert encoder.frames(verdicts, JSON) is encoder.frames(verdicts, JSON)
    assert encoder.frames(verdicts, JSON) != encoder.frames(verdicts, MSGPACK)


def test_an_event_only_for_the_former_audience_never_shows_an_object() -> None:
    after = {verdict: while_narrowing(verdict) for verdict in Verdict}

    assert after == {
        Verdict.CREATED: Verdict.DENIED,
        Verdict.UPDATED: Verdict.DENIED,
        Verdict.LEFT: Verdict.LEFT,
        Verdict.DENIED: Verdict.DENIED,
        Verdict.DELETED: Verdict.DELETED,
    }
