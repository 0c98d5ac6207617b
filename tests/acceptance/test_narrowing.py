"""Contract §2: subscriptions show only what roles permit, even when roles change."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from documents import (
    GUARDED_ROLES,
    guarded_application,
)
from waiting import eventually

contract = partial(pytest.mark.contract, "2. Applications and schemas")


@contract("roles: subscriptions are narrowed")
async def test_events_are_narrowed_to_permitted_objects(
    member: NexxusClient, staff: NexxusClient
) -> None:
    await member.connect()
    view = await member.subscribe("task", limit=1000)
    task = await staff.create("task", title="x", status="draft")
    await staff.update("task", task["id"], replace(status="published"))
    created = await member.wait_for(
        lambda f: f["event"] == "model_created" and f["data"]["model"]["id"] == task["id"]
    )
    assert created["data"]["model"]["version"] == 2

    await staff.update("task", task["id"], replace(status="draft"))
    gone = await member.wait_for("model_deleted")
    assert gone["data"]["reason"] == "denied"
    assert gone["data"]["model"]["id"] == task["id"]
    await member.converged(view)


@contract("roles: subscriptions are narrowed")
async def test_a_narrowed_subscriptions_channel_combines_both_filters(
    member: NexxusClient, staff: NexxusClient
) -> None:
    await member.connect()
    await staff.connect()

    narrowed = await member.subscribe("task")
    whole = await staff.subscribe("task")

    assert whole.channel_id == f"nxx:subscription:{staff.app_id}:task"
    assert narrowed.channel_id.startswith(f"{whole.channel_id}:filter:")


# Changes of roles


@contract("roles: a change narrows live subscriptions")
async def test_when_roles_shrink_objects_no_longer_permitted_leave_as_denied(
    user_of_type: Any, admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await user_of_type(app, "staff")
    member = await new_client(app).register_user("member")
    await member.connect()
    shown = await staff.create("task", title="x", status="published")
    own = await member.create("task", title="y")
    view = await member.subscribe("task", limit=1000)
    channel = view.channel_id
    assert set(view.items) == {shown["id"], own["id"]}

    only_own = {"statements": [GUARDED_ROLES["member"]["statements"][1]]}
    admin.put(app["id"], {"roles": {**GUARDED_ROLES, "member": only_own}})

    gone = await member.wait_for("model_deleted")
    assert gone["data"]["reason"] == "denied"
    assert gone["data"]["model"]["id"] == shown["id"]
    assert gone["data"]["metadata"]["channels"] == [channel]
    await member.converged(view)
    assert set(view.items) == {own["id"]}
    await member.update("task", own["id"], replace(points=1))
    await member.converged(view)
    assert view.items[own["id"]]["points"] == 1
    assert view.channel_id == channel


@contract("roles: a change narrows live subscriptions")
async def test_when_roles_grow_the_device_reads_the_channel_again(
    user_of_type: Any, admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await user_of_type(app, "staff")
    member = await new_client(app).register_user("member")
    await member.connect()
    draft = await staff.create("task", title="x", status="draft")
    view = await member.subscribe("task", limit=1000)
    assert view.items == {}

    everything = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["task"]}]}
    admin.put(app["id"], {"roles": {**GUARDED_ROLES, "member": everything}})

    resync = await member.wait_for("resync")
    assert resync["data"]["channels"] == [view.channel_id]
    await member.converged(view)
    assert set(view.items) == {draft["id"]}
    await staff.update("task", draft["id"], replace(points=1))
    await member.converged(view)


@contract("roles: a change narrows live subscriptions")
async def test_when_a_model_is_no_longer_permitted_all_its_objects_leave_as_denied(
    user_of_type: Any, admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await user_of_type(app, "staff")
    member = await new_client(app).register_user("member")
    await member.connect()
    tasks = [await staff.create("task", title="x", status="published") for _ in range(3)]
    views = [
        await member.subscribe("task", limit=1000),
        await member.subscribe("task", id=tasks[0]["id"], limit=1),
        await member.subscribe("task", filter={"title": "x"}, limit=1000),
    ]
    nothing = {"effect": "Allow", "action": ["create"], "resource": ["task"]}

    admin.put(app["id"], {"roles": {**GUARDED_ROLES, "member": {"statements": [nothing]}}})

    await eventually(lambda: not any(view.items for view in views))
    await eventually(lambda: not member.views)  # they have ended
    await member.denied("POST", "/subscription/", {"model": "task"})
    await staff.update("task", tasks[0]["id"], replace(points=1))
    own = await member.create("task", title="x")
    admin.put(app["id"], {"roles": GUARDED_ROLES})
    view = await member.subscribe("task", limit=1000)
    await member.converged(view)
    assert set(view.items) == {own["id"], *(task["id"] for task in tasks)}


@contract("roles: a channel without any right ends as unsubscribed")
async def test_a_channel_that_ends_is_told_after_its_objects(
    user_of_type: Any, admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await user_of_type(app, "staff")
    note_only = {"effect": "Allow", "action": ["*"], "resource": ["note"]}
    statements = [*GUARDED_ROLES["member"]["statements"], note_only]
    admin.put(app["id"], {"roles": {**GUARDED_ROLES, "member": {"statements": statements}}})
    member = await (await new_client(app).register_user("member")).connect()
    task = await staff.create("task", title="x", status="published")
    view = await member.subscribe("task", limit=1000)
    other = await member.subscribe("note", limit=1000)

    admin.put(app["id"], {"roles": {**GUARDED_ROLES, "member": {"statements": [note_only]}}})

    ended = await member.wait_for("unsubscribed")
    assert ended["data"]["channels"] == [view.channel_id]
    assert ended["data"]["error"] == "AccessDeniedException"
    events = [frame["event"] for frame in member.socket.frames]
    assert events.index("unsubscribed") > events.index("model_deleted")
    assert (await member.ok("GET", "/device"))["subscriptions"] == [other.channel_id]
    await staff.update("task", task["id"], replace(points=1))
    note = await member.create("note", text="x")
    await eventually(lambda: note["id"] in other.items)


@contract("a change of a user's type ends its sessions")
@pytest.mark.parametrize("change", [{"userType": "staff"}, {"disabled": True}])
async def test_changing_a_users_type_or_disabling_a_user_ends_the_sessions(
    guarded: Any, new_client: Any, admin: Admin, change: Any
) -> None:
    client = await new_client(guarded).register_user(unique("changed"))
    await client.connect()

    admin.set_user(guarded["id"], client.user_id, **change)

    assert await client.socket.wait_closed() == 4001
    await client.refused("GET", "/user/me", status=401, error="UserTokenExpiredException")
