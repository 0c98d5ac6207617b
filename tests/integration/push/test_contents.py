"""Contract §12: what a push says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from push_world import ADMIN_KEY, APP, APPLICATION, RULE, World, serving
from waiting import eventually

from nexxus.interfaces.push_service import PushMessage

QUIET = {**APPLICATION, "push": {"note": {**RULE, "quiet": 3600}}}


contract = partial(pytest.mark.contract, "12. Push")


@contract("a push has the application's text")
async def test_a_rule_says_what_is_shown(world: World) -> None:
    device = await world.device()
    channel = (await device.subscribe())["channelId"]
    note = await world.create(id="n1", title="Milk", author={"name": "Ann"})
    (message,) = await eventually(lambda: device.pushes)
    assert message == PushMessage(
        {"event": "model_created", "channels": [channel], "model": "note", "id": note["id"]},
        title="Milk",
        body="by Ann",
        collapse="note-n1",
    )


@contract("without a rule the push is silent")
async def test_without_a_rule_a_push_is_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.push.expansion.DEFAULT_QUIET", 0.0)
    device = await world.device()
    channel = (await device.subscribe("log"))["channelId"]
    await world.write("POST", "/model/log", {"id": "l1", "text": "secret"})
    (message,) = await eventually(lambda: device.pushes)
    assert message.is_silent
    assert message.data == {
        "event": "model_created",
        "channels": [channel],
        "model": "log",
        "id": "l1",
    }


async def test_each_occasion_is_pushed_as_its_channel_sees_it(world: World) -> None:
    device = await world.device()
    await device.subscribe(filter={"points": {"gte": 5}})
    patch = partial(world.write, "PUT", "/model/note/n1")

    def is_last(event: str, title: str) -> bool:
        *_, message = device.pushes or [PushMessage({"event": "none yet"})]
        return (message.data["event"], message.title) == (event, title)

    await world.create(id="n1", title="One", points=1)
    await patch({"patch": {"op": "replace", "path": ["points"], "value": [5]}})
    await eventually(lambda: is_last("model_created", "One"))
    await patch({"patch": {"op": "replace", "path": ["title"], "value": ["Two"]}})
    await eventually(lambda: is_last("model_updated", "Two"))
    await patch({"patch": {"op": "replace", "path": ["points"], "value": [1]}})
    await eventually(lambda: is_last("model_deleted", "Two"))
    assert len(device.pushes) == 3


async def test_a_rule_says_what_is_not_pushed_at_all(tmp_path: Path) -> None:
    rule = {**RULE, "on": ["created"], "filter": {"points": {"gt": 1}}}
    async with serving(tmp_path, application={**APPLICATION, "push": {"note": rule}}) as world:
        device = await world.device()
        await device.subscribe()
        await world.create(id="n1", points=1)
        await world.create(id="n2", points=2)
        await eventually(lambda: device.pushes)
        await world.write("DELETE", "/model/note/n2")
        await world.create(id="n3", points=3)
        await eventually(lambda: len(device.pushes) == 2)
        assert [message.data["id"] for message in device.pushes] == ["n2", "n3"]
        assert all("count" not in message.data for message in device.pushes)


@contract("pushes of one device within quiet seconds become one")
async def test_the_pushes_of_a_quiet_time_become_one(tmp_path: Path) -> None:
    async with serving(tmp_path, application=QUIET) as world:
        device = await world.device()
        both = [
            (await device.subscribe())["channelId"],
            (await device.subscribe(filter={"points": 3}))["channelId"],
        ]
        for number in range(4):
            await world.create(id=f"n{number}", title=f"Note {number}", points=number)
        await world.end_quiet_time(notices=5)
        (message,) = await eventually(lambda: device.pushes)
        assert message.title == "Note 3"
        assert message.data["id"] == "n3"
        assert message.data["count"] == 4
        assert sorted(message.data["channels"]) == sorted(both)


@contract("an application's push rules are validated")
@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"ufo": RULE}, "push.ufo"),
        ({"note": {**RULE, "titel": "x"}}, "push.note.titel"),
        ({"note": {**RULE, "title": ""}}, "push.note.title"),
        ({"note": {**RULE, "body": "{bdy}"}}, "push.note.body"),
        ({"note": {**RULE, "body": "{author}"}}, "push.note.body"),
        ({"note": {**RULE, "on": ["written"]}}, "push.note"),
        ({"note": {**RULE, "filter": {"title": "x"}}}, "push.note"),
        ({"note": {**RULE, "quiet": -1}}, "push.note.quiet"),
        ({"note": 1}, "push.note"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused(world: World, rule: Any, field: str) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    path = f"/admin/applications/{APP}"
    answer = await world.http.put(path, json={"push": rule}, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["details"]["field"] == field
