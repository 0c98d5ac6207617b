"""Writes of transient objects, which nothing but the way to their channels remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nexxus import Config, Nexxus
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import EVENTS, Message, Topic

APPLICATION = {
    "id": "app",
    "name": "App",
    "schema": {"cursor": {"fields": {"x": {"type": "int"}}, "transient": True}},
}


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    settings = {"server": {"data_dir": str(tmp_path)}, "applications": [APPLICATION]}
    async with Nexxus(Config.from_mapping(settings)) as nexxus:
        yield nexxus


async def test_one_that_was_refused_is_told_when_its_client_tries_again(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    publish = nexxus.broker.publish

    async def refuse_once(topic: Topic[Any], messages: Sequence[Message[Any]]) -> None:
        if topic == EVENTS:
            told.extend(message.payload.after["x"] for message in messages)
            if len(told) == 1:
                raise ServiceUnavailable("the broker is away")
        await publish(topic, messages)

    monkeypatch.setattr(nexxus.broker, "publish", refuse_once)
    headers = {"nxx-app-id": "app", "idempotency-key": "one and the same"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=nexxus.app), base_url="http://nexxus", headers=headers
    ) as http:
        answers = [await http.post("/model/cursor", json={"x": 1}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 202, 202]
    assert told == [1, 1], "refused, told, and not told again"
