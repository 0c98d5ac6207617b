"""Contract §2: what roles allow and deny."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, assert_error, replace, unique
from documents import (
    ALL,
    signed_application,
)

contract = partial(pytest.mark.contract, "2. Applications and schemas")

# Reading


@contract("roles: reading is narrowed")
async def test_search_and_count_show_only_permitted_objects(
    member: NexxusClient, staff: NexxusClient
) -> None:
    name = unique("narrowed")
    hidden = await staff.create("task", title=name, status="draft")
    shown = await staff.create("task", title=name, status="published")
    own = await member.create("task", title=name, status="draft")

    found = await member.search("task", filter={"title": name})
    assert sorted(item["id"] for item in found) == sorted([shown["id"], own["id"]])
    assert await member.count("task", filter={"title": name}) == 2
    assert await staff.count("task", filter={"title": name}) == 3
    assert await member.search("task", filter={"id": hidden["id"]}) == []


@contract("roles: reading is narrowed")
async def test_reading_a_forbidden_or_missing_object_is_denied_alike(
    member: NexxusClient, staff: NexxusClient
) -> None:
    hidden = await staff.create("task", title="x", status="draft")

    await member.denied("GET", f"/model/task/{hidden['id']}")
    await member.denied("GET", f"/model/task/{unique('nothing')}")


# Anything not allowed


@contract("roles: anything not allowed is denied")
async def test_a_user_type_without_roles_may_do_nothing_but_default_everything(
    user_of_type: Any, guarded: Any, new_client: Any, admin: Admin
) -> None:
    stranger = await user_of_type(guarded, "stranger")
    await stranger.denied("POST", "/model/task", {"title": "x"})

    free = admin.create(signed_application(auth={"acl": True, "userTypes": {"default": {}}}))
    user = await new_client(free).register_user("u")
    note = await user.create("note", text="x")
    await user.delete("note", note["id"])


@contract("roles: a Deny overrides")
async def test_a_deny_overrides_any_allow(staff: NexxusClient) -> None:
    note = await staff.create("note", text="x")

    await staff.update("note", note["id"], replace(stars=1))
    await staff.denied("DELETE", f"/model/note/{note['id']}")


# Conditions


@contract("roles: conditions")
@pytest.mark.parametrize(
    ("condition", "visible"),
    [
        ({"StringNotEquals": {"status": ["a", "b"]}}, {"c", "none"}),
        ({"StringEquals": {"status": ["a", "b"]}, "NumericEquals": {"level": [2]}}, {"b"}),
        ({"filter": {"$or": [{"status": "a"}, {"level": {"exists": False}}]}}, {"a", "none"}),
        ({"StringEquals": {"status": ["$nxx:userType"]}}, {"a"}),
    ],
)
async def test_a_condition_selects_the_permitted_objects(
    admin: Admin, new_client: Any, condition: Any, visible: set[str]
) -> None:
    text = {"type": "string", "filterable": True, "acl": True}
    level = {"type": "int", "filterable": True, "acl": True}
    read = {"effect": "Allow", "action": ["read"], "resource": ["row"], "condition": condition}
    app = admin.create(
        signed_application(
            schema={"row": {"fields": {"status": text, "level": level}}},
            roles={"reader": {"statements": [read]}, "all": ALL},
            auth={
                "acl": True,
                "userTypes": {"default": {"roles": ["all"]}, "a": {"roles": ["reader"]}},
            },
        )
    )
    writer = await new_client(app).register_user("writer")
    for number, status in enumerate("abc", start=1):
        await writer.create("row", id=status, status=status, level=number)
    await writer.create("row", id="none")
    reader = await new_client(app).register_user("reader", userType="a")

    found = await reader.search("row")
    assert {item["id"] for item in found} == visible
    assert await reader.count("row") == len(visible)


# Writing


@contract("roles: writes need permission before and after")
async def test_an_update_needs_permission_before_and_after(
    guarded: Any, admin: Admin, new_client: Any
) -> None:
    roles = {
        "painter": {
            "statements": [
                {
                    "effect": "Allow",
                    "action": ["*"],
                    "resource": ["task"],
                    "condition": {"StringEquals": {"status": ["red", "green"]}},
                }
            ]
        }
    }
    auth = {"acl": True, "userTypes": {"default": {"roles": ["painter"]}, "boss": {}}}
    app = admin.create(signed_application(roles=roles | {"all": ALL}, auth=auth | {
        "userTypes": {"default": {"roles": ["painter"]}, "boss": {"roles": ["all"]}}
    }))  # fmt: skip
    painter = await new_client(app).register_user("painter")
    boss = await new_client(app).register_user("boss", userType="boss")

    await painter.denied("POST", "/model/task", {"title": "x", "status": "blue"})
    await painter.denied("POST", "/model/task", {"title": "x"})
    red = await painter.create("task", title="x", status="red")
    await painter.update("task", red["id"], replace(status="green"))
    assert await rejected_or_refused(painter, "PUT", red["id"], {"patch": replace(status="blue")})
    assert (await boss.get("task", red["id"]))["status"] == "green"

    blue = await boss.create("task", title="x", status="blue")
    assert await rejected_or_refused(painter, "PUT", blue["id"], {"patch": replace(status="red")})
    assert await rejected_or_refused(painter, "DELETE", blue["id"])
    assert await boss.get("task", blue["id"]) == blue


async def rejected_or_refused(
    client: NexxusClient, method: str, object_id: str, body: Any = None
) -> bool:
    """Return whether the write is denied, immediately or in the operation's fate."""
    response = await client.send(method, f"/model/task/{object_id}", body)
    if response.status_code == 202:
        fate = await client.decided(response.headers["nxx-operation-id"])
        assert fate["state"] == "rejected", fate
        assert fate["error"]["error"] == "AccessDeniedException", fate
        return True
    assert_error(response, 403, "AccessDeniedException")
    return True


@contract("roles: writing reveals nothing about hidden objects")
async def test_writing_a_hidden_and_a_missing_object_look_the_same(
    member: NexxusClient, staff: NexxusClient
) -> None:
    hidden = await staff.create("task", title="x", status="draft")

    answers = []
    for object_id in (hidden["id"], unique("nothing")):
        response = await member.write(
            "PUT", f"/model/task/{object_id}", {"patch": replace(points=1)}
        )
        body = assert_error(response, 403, "AccessDeniedException")
        answers.append(body["message"].replace(object_id, "…"))
    assert answers[0] == answers[1]


@contract("roles: writes need permission before and after")
async def test_a_repeated_write_is_answered_even_if_its_object_is_gone(
    member: NexxusClient,
) -> None:
    own = await member.create("task", title="x")
    answers = [
        await member.write("DELETE", f"/model/task/{own['id']}", Idempotency_Key="once")
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


# What answers show of objects that the client may write and not read


READ_OPEN = {
    "effect": "Allow",
    "action": ["read"],
    "resource": ["task"],
    "condition": {"StringEquals": {"status": ["open"]}},
}
WRITE = {"effect": "Allow", "action": ["write"], "resource": ["task"]}


@pytest.fixture
async def writer(admin: Admin, new_client: Any) -> Any:
    """A user who may write every task and read the open ones; and one who may do everything."""
    auth = {
        "acl": True,
        "userTypes": {"default": {"roles": ["writer"]}, "boss": {"roles": ["all"]}},
    }
    roles = {"writer": {"statements": [READ_OPEN, WRITE]}, "all": ALL}
    app = admin.create(signed_application(roles=roles, auth=auth))
    client = await new_client(app).register_user("writer")
    boss = await new_client(app).register_user("boss", userType="boss")
    return client, boss


@contract("roles: answers to writes show only what may be read")
async def test_a_write_shows_the_object_only_to_who_may_read_it(writer: Any) -> None:
    client, boss = writer
    created = await client.write("POST", "/model/task", {"title": "x", "status": "secret"})
    data = created.json()["data"]
    assert (created.status_code, set(data)) == (201, {"id", "type", "version"})
    await boss.update("task", data["id"], replace(title="classified"))

    answer = await client.write("PUT", f"/model/task/{data['id']}", {"patch": replace(points=1)})

    assert answer.json()["data"] == {"id": data["id"], "type": "task", "version": 3}
    opened = await client.write(
        "PUT", f"/model/task/{data['id']}", {"patch": replace(status="open")}
    )
    assert opened.json()["data"]["title"] == "classified"


@contract("roles: answers to writes show only what may be read")
async def test_a_repeated_write_shows_nothing_that_has_become_secret(writer: Any) -> None:
    client, boss = writer
    task = await client.create("task", title="x", status="open")
    body = {"patch": replace(points=1)}
    path = f"/model/task/{task['id']}"
    first = await client.write("PUT", path, body, Idempotency_Key="once")
    assert first.json()["data"]["title"] == "x"
    await boss.update("task", task["id"], replace(status="secret"))

    again = await client.write("PUT", path, body, Idempotency_Key="once")

    assert set(again.json()["data"]) == {"id", "type", "version"}


@contract("roles: answers to writes show only what may be read")
async def test_a_conflict_names_the_version_only_to_who_may_read_the_object(writer: Any) -> None:
    client, boss = writer
    hidden = await boss.create("task", title="x", status="secret")
    await boss.update("task", hidden["id"], replace(points=1))
    shown = await boss.create("task", title="x", status="open")

    for task, details in ((hidden, None), (shown, {"version": 1})):
        body = {"title": "mine", "id": task["id"]}
        answer = await client.write("POST", "/model/task", body)
        assert_error(answer, 409, "VersionConflictException")
        assert answer.json().get("details") == details
        stale = {"patch": replace(points=2), "ifVersion": 7}
        answer = await client.write("PUT", f"/model/task/{task['id']}", stale)
        assert_error(answer, 409, "VersionConflictException")
        assert answer.json().get("details") == details
        assert "version 2" not in answer.text
