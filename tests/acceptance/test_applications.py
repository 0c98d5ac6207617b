"""Contract §2: applications, their schemas, and how they are managed."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import httpx
import pytest
from client import Admin, NexxusClient, assert_error, replace, unique
from documents import (
    GUARDED_ROLES,
    SCHEMA,
    TASK,
    guarded_application,
    open_application,
    signed_application,
)
from waiting import eventually

contract = partial(pytest.mark.contract, "2. Applications and schemas")

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()


def refuse(admin: Admin, document: Any, *mentions: str, status: int = 400) -> None:
    name = "InvalidParametersException" if status == 400 else "ApplicationAlreadyExistsException"
    assert_error(admin.http.post("/applications", json=document), status, name, *mentions)


def with_field(**definition: Any) -> Any:
    return open_application(schema={"thing": {"fields": {"f": definition}}})


def one_role(**change: Any) -> Any:
    statement = {"effect": "Allow", "action": ["*"], "resource": ["*"], **change}
    return {"r": {"statements": [statement]}}


# Identity


@contract("an id is made, or chosen")
async def test_an_application_without_an_id_gets_a_uuid(admin: Admin) -> None:
    document = open_application()
    del document["id"]

    assert UUID7.fullmatch(admin.create(document)["id"])


@contract("an id is made, or chosen")
@pytest.mark.parametrize("id", ["Upper", "-dash", "_low", "", "a" * 65, "a b", "a.b", "ä", 7, None])
async def test_an_id_of_another_form_is_refused(admin: Admin, id: Any) -> None:
    document = open_application(id=id)

    if id is None:  # as good as none
        assert admin.http.post("/applications", json=document).status_code in (201, 400)
    else:
        refuse(admin, document, "id")


@contract("an id is made, or chosen")
async def test_an_id_that_is_taken_is_a_conflict(admin: Admin, app: Any) -> None:
    refuse(admin, open_application(id=app["id"]), status=409)


@contract("names of models and fields")
@pytest.mark.parametrize("name", ["1st", "_x", "", "a-b", "a.b", "$x", "a" * 65, "größe"])
async def test_a_model_or_a_field_of_an_impossible_name_is_refused(admin: Admin, name: str) -> None:
    field = {"type": "string"}

    refuse(admin, open_application(schema={name: {"fields": {"f": field}}}))
    refuse(admin, open_application(schema={"thing": {"fields": {name: field}}}))
    inside = {"type": "object", "properties": {name: field}}
    refuse(admin, open_application(schema={"thing": {"fields": {"f": inside}}}))


@contract("names of models and fields")
@pytest.mark.parametrize("name", ["count", "user", "application", "device", "setting", "acl"])
async def test_a_reserved_model_name_is_refused(admin: Admin, name: str) -> None:
    refuse(admin, open_application(schema={name: {"fields": {"f": {"type": "int"}}}}), name)


@contract("names of models and fields")
@pytest.mark.parametrize(
    "name", ["id", "type", "appId", "userId", "createdAt", "updatedAt", "version"]
)
async def test_a_reserved_field_name_is_refused(admin: Admin, name: str) -> None:
    refuse(admin, open_application(schema={"thing": {"fields": {name: {"type": "int"}}}}), name)


@contract("names of models and fields")
async def test_a_name_of_64_letters_is_fine(admin: Admin, new_client: Any) -> None:
    model, field = "M" + "o" * 63, "f" * 64
    app = admin.create(open_application(schema={model: {"fields": {field: {"type": "int"}}}}))
    client = await new_client(app).register_device()

    assert (await client.create(model, **{field: 1}))[field] == 1


# Documents


@contract("secrets are never shown")
async def test_the_signing_secret_and_strategies_secrets_are_never_shown(admin: Admin) -> None:
    google = {"clientID": "me", "clientSecret": "hush-hush", "callbackURL": "http://x/cb"}
    document = signed_application(
        signingSecret="a-signing-secret-of-a-good-length-0123",
        auth={"strategies": {"local": {}, "google": google}},
    )
    app_id = document["id"]

    answers = [
        admin.http.post("/applications", json=document),
        admin.http.get(f"/applications/{app_id}"),
        admin.http.get("/applications", params={"limit": 1000}),
        admin.http.put(f"/applications/{app_id}", json={"name": "Other"}),
    ]

    for answer in answers:
        assert answer.is_success, answer.text
        assert "hush-hush" not in answer.text
        assert "a-signing-secret" not in answer.text
        assert "signingSecret" not in answer.text


@contract("user types")
async def test_with_auth_there_is_always_the_default_user_type(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(
        open_application(auth={"strategies": {"local": {}}, "userTypes": {"staff": {}}})
    )

    client = await new_client(app).register_user("someone")
    assert (await client.ok("GET", "/user/me"))["userType"] == "default"


@contract("user types")
async def test_a_private_user_type_cannot_be_chosen(admin: Admin, new_client: Any) -> None:
    client = new_client(admin.create(signed_application()))
    body = {"username": "u", "password": "p4ssw0rd!", "userType": "staff"}

    await client.refused("POST", "/user/register", body, status=403, error="AccessDeniedException")
    await client.refused("POST", "/user/register", {**body, "userType": "nobody"}, "userType")
    await client.register_user("u", userType="guest")
    assert (await client.ok("GET", "/user/me"))["userType"] == "guest"


@contract("user types")
async def test_a_user_type_of_an_unknown_role_is_refused(admin: Admin) -> None:
    refuse(admin, signed_application(auth={"userTypes": {"x": {"roles": ["ghost"]}}}), "ghost")


@contract("user types")
@pytest.mark.parametrize("name", ["username", "password", "userType", "device", "$google"])
async def test_a_reserved_detail_field_is_refused(admin: Admin, name: str) -> None:
    details = {"default": {name: {"type": "string"}}}
    refuse(admin, signed_application(auth={"userDetailSchema": details}))


@contract("no auth, no users")
async def test_registering_where_there_are_no_users_is_refused(client: NexxusClient) -> None:
    await client.refused(
        "POST",
        "/user/register",
        {"username": "u", "password": "p4ssw0rd!"},
        error="InvalidAuthMethodException",
    )


@contract("an application's document is checked")
@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"schema": []},
        {"schema": {"thing": 7}},
        {"schema": {"thing": {"fields": {"f": {"type": "text"}}}}},
        {"schema": {"thing": {"fields": {"f": {}}}}},
        {"schema": {"thing": {"fields": {"f": {"type": "int", "filterabel": True}}}}},
        {"schema": {"thing": {"fields": {"f": {"type": "int"}}, "subscribabel": False}}},
        {"schema": {"thing": {"fields": {"f": {"type": "int", "required": "yes"}}}}},
        {"defaultLimit": 0},
        {"maxLimit": -1},
        {"defaultLimit": 50, "maxLimit": 20},
        {"session": {"jwtExpiresIn": 0}},
        {"session": {"jwtExpiresIn": "1h"}},
        {"auth": {"strategies": {"carrier-pigeon": {}}}},
        {"roles": one_role(effect="Maybe")},
        {"roles": one_role(action=["fly"])},
        {"roles": one_role(resource=["ufo"])},
        {"colour": "red"},
    ],
)  # fmt: skip
async def test_a_document_that_makes_no_sense_is_refused(admin: Admin, change: Any) -> None:
    refuse(admin, open_application(**change))


@contract("field types")
@pytest.mark.parametrize(
    "definition",
    [
        {"type": "array"},
        {"type": "array", "arrayType": "array"},
        {"type": "array", "arrayType": "object"},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "int"}}, "filterable": True},
        {
            "type": "array",
            "arrayType": "object",
            "properties": {"a": {"type": "int"}},
            "filterable": True,
        },
    ],
)
async def test_a_field_that_is_not_fully_described_is_refused(
    admin: Admin, definition: Any
) -> None:
    refuse(admin, with_field(**definition))


@contract("field types")
async def test_number_is_another_word_for_float(admin: Admin, new_client: Any) -> None:
    app = admin.create(with_field(type="number", filterable=True))
    client = await new_client(app).register_device()

    thing = await client.create("thing", f=1.5)
    assert await client.search("thing", filter={"f": {"gt": 1}}) == [thing]


@contract("the short form of a model")
async def test_a_model_may_be_just_its_fields(client: NexxusClient) -> None:
    note = await client.create("note", text="short", stars=4)

    assert await client.search("note", filter={"stars": 4}) == [note]


@contract("the short form of a model")
async def test_a_field_called_fields_is_a_field_when_it_has_a_type(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application(schema={"farm": {"fields": {"type": "int"}}}))
    client = await new_client(app).register_device()

    assert (await client.create("farm", fields=3))["fields"] == 3


@contract("transient models")
async def test_an_object_of_a_transient_model_is_never_stored(client: NexxusClient) -> None:
    response = await client.write("POST", "/model/cursor", {"x": 1}, wait=False)

    assert response.status_code == 202, response.text
    assert set(response.json()["data"]) == {"id", "type"}
    object_id = response.json()["data"]["id"]
    await client.refused("GET", f"/model/cursor/{object_id}")
    await client.refused("PUT", f"/model/cursor/{object_id}", {"patch": replace(x=2)})
    await client.refused("DELETE", f"/model/cursor/{object_id}")
    await client.refused("POST", "/model/cursor/search", {})
    await client.refused("POST", "/model/count", {"type": "cursor"})


@contract("models that cannot be followed")
async def test_a_model_that_is_not_subscribable_is_stored_and_searched_by_any_primitive(
    client: NexxusClient,
) -> None:
    line = await client.create("log", line="started", level=3)

    assert await client.search("log", filter={"line": "started", "level": {"gte": 3}}) == [line]
    await client.connect()
    await client.refused("POST", "/subscription/", {"model": "log"})


@contract("models that cannot be followed")
async def test_transient_and_not_subscribable_at_once_is_refused(admin: Admin) -> None:
    model = {"fields": {"f": {"type": "int"}}, "transient": True, "subscribable": False}
    refuse(admin, open_application(schema={"thing": model}))


# Values


@contract("the schema is closed")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"titel": "x"}, "titel"),
        ({"location": {"lat": 1, "alt": 2}}, "location.alt"),
        ({"steps": [{"text": "a", "txt": "b"}]}, "txt"),
        ({"location.lat": 1}, "location.lat"),
        ({"$where": "1"}, "$where"),
        ({"__proto__": {}}, "__proto__"),
    ],
)
async def test_a_field_that_is_not_declared_is_named(
    client: NexxusClient, fields: Any, named: str
) -> None:
    await client.refused("POST", "/model/task", {"title": "x", **fields}, named)


@contract("the schema is closed")
@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "version"])
async def test_what_the_server_sets_cannot_be_given(client: NexxusClient, name: str) -> None:
    await client.refused("POST", "/model/task", {"title": "x", name: 1}, name)


@contract("values are checked")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 1),
        ("title", None),
        ("title", ["a"]),
        ("points", "1"),
        ("points", 1.5),
        ("points", True),
        ("points", 2**53 + 1),
        ("points", -(2**53) - 1),
        ("points", None),
        ("weight", "1.5"),
        ("weight", True),
        ("done", 1),
        ("done", "true"),
        ("dueDate", "tomorrow"),
        ("dueDate", "2026-02-30"),
        ("dueDate", "2026-13-01T00:00:00Z"),
        ("dueDate", True),
        ("tags", "a"),
        ("tags", [1]),
        ("tags", [None]),
        ("tags", [["a"]]),
        ("scores", [1, 2.5]),
        ("location", "here"),
        ("location", {"lat": "x"}),
        ("location", [1, 2]),
        ("steps", {"text": "a"}),
        ("steps", [{"minutes": 1}]),
        ("steps", ["a"]),
    ],
)
async def test_a_value_of_another_type_is_named(
    client: NexxusClient, field: str, value: Any
) -> None:
    await client.refused("POST", "/model/task", {"title": "x", field: value}, field)


@contract("values are checked")
async def test_a_required_field_must_be_there(client: NexxusClient) -> None:
    await client.refused("POST", "/model/task", {"points": 1}, "title")


@contract("values are checked")
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_is_none_is_refused(client: NexxusClient, number: str) -> None:
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": "application/json"},
        content=f'{{"title": "x", "weight": {number}}}',
    )

    assert_error(response, 400, "InvalidParametersException")


@contract("values are checked")
async def test_null_is_for_nullable_fields(client: NexxusClient) -> None:
    task = await client.create("task", title="x", dueDate=None, notes=None)

    assert task["dueDate"] is None
    assert task["notes"] is None


@contract("values are checked")
async def test_an_int_may_be_written_as_a_float_and_reaches_as_far_as_2_to_the_53(
    client: NexxusClient,
) -> None:
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": "application/json", "Prefer": "wait=20"},
        content='{"title": "x", "points": 1.0, "scores": [9007199254740992, -9007199254740992]}',
    )

    task = response.json()["data"]
    assert task["points"] == 1
    assert isinstance(task["points"], int)
    assert task["scores"] == [2**53, -(2**53)]
    assert (await client.get("task", task["id"]))["scores"] == [2**53, -(2**53)]


@contract("dates")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (0, 0),
        (1_700_000_000, 1_700_000_000),
        (-86_400, -86_400),
        ("2023-11-14", 1_699_920_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20.999Z", 1_700_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
        ("2023-11-14T17:43:20-04:30", 1_700_000_000),
    ],
)
async def test_a_date_is_stored_as_unix_seconds(
    client: NexxusClient, given: Any, stored: int
) -> None:
    task = await client.create("task", title="x", dueDate=given, steps=[{"text": "s", "at": given}])

    assert task["dueDate"] == stored
    assert task["steps"][0]["at"] == stored
    found = await client.search("task", filter={"id": task["id"], "dueDate": given})
    assert found == [task]


@contract("strings survive")
@pytest.mark.parametrize(
    "text",
    ["", " ", "é", "e\u0301", "\u0000", "𝄞", "\ud7ff", '"\\\n\t', "x" * 10_000, "'; DROP TABLE--"],
)
async def test_any_string_is_kept_as_it_is(client: NexxusClient, text: str) -> None:
    task = await client.create("task", title=text, tags=[text])

    assert task["title"] == text
    assert await client.get("task", task["id"]) == task
    assert await client.search("task", filter={"id": task["id"], "title": text}) == [task]


@contract("what an object carries")
async def test_an_object_carries_what_the_server_sets(client: NexxusClient, app: Any) -> None:
    task = await client.create("task", title="x", points=1)

    assert set(task) == {
        *("id", "type", "appId", "createdAt", "updatedAt", "version"),
        *("title", "points"),
    }
    assert UUID7.fullmatch(task["id"])
    assert task["type"] == "task"
    assert task["appId"] == app["id"]
    assert task["version"] == 1
    assert type(task["createdAt"]) is type(task["updatedAt"]) is int
    assert task["createdAt"] == task["updatedAt"]


@contract("what an object carries")
async def test_versions_count_the_writes_of_one_object(client: NexxusClient) -> None:
    task = await client.create("task", title="x")

    for expected in (2, 3, 4):
        task = await client.update("task", task["id"], replace(points=expected))
        assert task["version"] == expected
        assert task["updatedAt"] >= task["createdAt"]
    assert (await client.delete("task", task["id"]))["version"] == 5


@contract("what an object carries")
@pytest.mark.parametrize("id", ["x1", "A.b_c~d-e", "0" * 128, "...", "~"])
async def test_an_id_may_be_chosen(client: NexxusClient, id: str) -> None:
    task = await client.create("note", id=id, text="x")

    assert task["id"] == id
    assert await client.get("note", id) == task
    assert (await client.update("note", id, replace(stars=1)))["version"] == 2
    await client.delete("note", id)


@contract("what an object carries")
@pytest.mark.parametrize("id", ["", ".", "..", "a b", "a/b", "ä", "0" * 129, 7, ["x"]])
async def test_an_id_of_other_letters_is_refused(client: NexxusClient, id: Any) -> None:
    await client.refused("POST", "/model/note", {"id": id, "text": "x"}, "id")


@contract("an object belongs to its maker")
async def test_an_object_belongs_to_the_user_who_makes_it(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    ann = await new_client(app).register_user("ann")
    bob = await new_client(app).register_user("bob")

    task = await ann.create("task", title="x")
    assert task["userId"] == ann.user_id
    repeated = await ann.create("task", title="y", userId=ann.user_id)
    assert repeated["userId"] == ann.user_id
    await bob.refused(
        "POST",
        "/model/task",
        {"title": "z", "userId": ann.user_id},
        status=403,
        error="AccessDeniedException",
    )
    changed = await bob.update("task", task["id"], replace(points=1))
    assert changed["userId"] == ann.user_id


# Access control


@pytest.fixture(scope="module")
def guarded(admin: Admin) -> Any:
    return admin.create(guarded_application())


@pytest.fixture
async def member(guarded: Any, new_client: Any) -> NexxusClient:
    return await new_client(guarded).register_user(unique("member"))


@pytest.fixture
async def staff(guarded: Any, new_client: Any, admin: Admin) -> NexxusClient:
    return await of_type("staff", guarded, new_client, admin)


async def of_type(kind: str, app: Any, new_client: Any, admin: Admin) -> NexxusClient:
    name = unique(kind)
    client = await new_client(app).register_user(name)
    admin.set_user(app["id"], client.user_id, userType=kind)
    await client.sign_in(name)
    return client  # type: ignore[no-any-return]


async def denied(client: NexxusClient, method: str, path: str, body: Any = None) -> None:
    await client.refused(method, path, body, status=403, error="AccessDeniedException")


@contract("roles: reading is narrowed")
async def test_search_and_count_show_the_permitted_rows_only(
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
async def test_reading_what_is_not_permitted_is_denied_as_is_what_does_not_exist(
    member: NexxusClient, staff: NexxusClient
) -> None:
    hidden = await staff.create("task", title="x", status="draft")

    await denied(member, "GET", f"/model/task/{hidden['id']}")
    await denied(member, "GET", f"/model/task/{unique('nothing')}")


@contract("roles: what no statement allows is denied")
async def test_a_model_that_no_statement_names_is_denied(member: NexxusClient) -> None:
    await denied(member, "POST", "/model/note", {"text": "x"})
    await denied(member, "GET", "/model/note/x")
    await denied(member, "PUT", "/model/note/x", {"patch": replace(text="y")})
    await denied(member, "DELETE", "/model/note/x")
    await denied(member, "POST", "/model/note/search", {})
    await denied(member, "POST", "/model/count", {"type": "note"})
    await denied(member, "POST", "/subscription/", {"model": "note", "getOnly": True})


@contract("roles: what no statement allows is denied")
async def test_a_user_type_without_roles_may_do_nothing_but_default_everything(
    guarded: Any, new_client: Any, admin: Admin
) -> None:
    stranger = await of_type("stranger", guarded, new_client, admin)
    await denied(stranger, "POST", "/model/task", {"title": "x"})

    free = admin.create(signed_application(auth={"acl": True, "userTypes": {"default": {}}}))
    user = await new_client(free).register_user("u")
    note = await user.create("note", text="x")
    await user.delete("note", note["id"])


@contract("roles: what no statement allows is denied")
async def test_a_role_without_statements_is_a_role_that_allows_nothing(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(
        signed_application(
            roles={"idle": {"statements": []}},
            auth={"acl": True, "userTypes": {"default": {"roles": ["idle"]}}},
        )
    )
    await denied(await new_client(app).register_user("u"), "POST", "/model/note", {"text": "x"})


@contract("roles: what no statement allows is denied")
async def test_a_session_from_before_there_were_users_may_do_nothing(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    note = await client.create("note", text="x")
    auth = {"strategies": {"local": {}}, "acl": True}
    admin.put(app["id"], {"auth": auth, "roles": {"all": ALL}})

    await denied(client, "GET", f"/model/note/{note['id']}")
    await denied(client, "POST", "/model/note", {"text": "x"})


@contract("roles: conditions")
async def test_a_missing_field_equals_nothing_whatever_the_values(
    admin: Admin, new_client: Any
) -> None:
    condition = {"StringEquals": {"status": [None, "x"]}}
    app = admin.create(
        guarded_application(
            roles={
                **GUARDED_ROLES,
                "member": {
                    "statements": [
                        {
                            "effect": "Allow",
                            "action": ["*"],
                            "resource": ["task"],
                            "condition": condition,
                        }
                    ]
                },
            }
        )
    )
    member = await new_client(app).register_user("m")

    await denied(member, "POST", "/model/task", {"title": "without a status"})
    await member.create("task", title="x", status="x")


@contract("roles: writes need the row before and after")
async def test_a_repeated_write_is_answered_though_its_row_is_gone(
    member: NexxusClient,
) -> None:
    own = await member.create("task", title="x")
    answers = [
        await member.write("DELETE", f"/model/task/{own['id']}", Idempotency_Key="once")
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@contract("roles: a Deny wins")
async def test_a_deny_wins_over_any_allow(staff: NexxusClient) -> None:
    note = await staff.create("note", text="x")

    await staff.update("note", note["id"], replace(stars=1))
    await denied(staff, "DELETE", f"/model/note/{note['id']}")


@contract("roles: writes need the row before and after")
async def test_an_update_needs_the_row_permitted_before_and_after(
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

    await denied(painter, "POST", "/model/task", {"title": "x", "status": "blue"})
    await denied(painter, "POST", "/model/task", {"title": "x"})
    red = await painter.create("task", title="x", status="red")
    await painter.update("task", red["id"], replace(status="green"))
    assert await rejected_or_refused(painter, "PUT", red["id"], {"patch": replace(status="blue")})
    assert (await boss.get("task", red["id"]))["status"] == "green"

    blue = await boss.create("task", title="x", status="blue")
    assert await rejected_or_refused(painter, "PUT", blue["id"], {"patch": replace(status="red")})
    assert await rejected_or_refused(painter, "DELETE", blue["id"])
    assert await boss.get("task", blue["id"]) == blue


ALL = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["*"]}]}


async def rejected_or_refused(
    client: NexxusClient, method: str, object_id: str, body: Any = None
) -> bool:
    """Denied at once, or, where only the writer can know, as the fate of the operation."""
    response = await client.send(method, f"/model/task/{object_id}", body)
    if response.status_code == 202:
        fate = await client.decided(response.headers["nxx-operation-id"])
        assert fate["state"] == "rejected", fate
        assert fate["error"]["error"] == "AccessDeniedException", fate
        return True
    assert_error(response, 403, "AccessDeniedException")
    return True


@contract("roles: writing what does not exist tells nothing")
async def test_writing_what_is_hidden_and_what_is_not_there_look_the_same(
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


@contract("roles: conditions")
@pytest.mark.parametrize(
    ("condition", "visible"),
    [
        ({"StringEquals": {"status": ["a", "b"]}}, {"a", "b"}),
        ({"StringNotEquals": {"status": ["a", "b"]}}, {"c", "none"}),
        ({"StringEquals": {"status": ["a"]}, "StringNotEquals": {"status": ["b"]}}, {"a"}),
        ({"NumericEquals": {"level": [1, 3]}}, {"a", "c"}),
        ({"NumericNotEquals": {"level": [1]}}, {"b", "c", "none"}),
        ({"StringEquals": {"status": ["a", "b"]}, "NumericEquals": {"level": [2]}}, {"b"}),
        ({"filter": {"level": {"gte": 2}}}, {"b", "c"}),
        ({"filter": {"$or": [{"status": "a"}, {"level": {"exists": False}}]}}, {"a", "none"}),
        ({"StringEquals": {"status": ["$nxx:userType"]}}, {"a"}),
    ],
)
async def test_a_condition_chooses_the_rows(
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


@contract("roles: conditions")
@pytest.mark.parametrize(
    "statement",
    [
        {"effect": "Allow", "condition": {"StringEquals": {"title": ["x"]}}},  # not acl
        {"effect": "Allow", "condition": {"StringEquals": {"nothing": ["x"]}}},
        {"effect": "Allow", "condition": {"Equals": {"status": ["x"]}}},
        {"effect": "Deny", "condition": {"StringEquals": {"status": ["x"]}}},
        {"effect": "Allow", "resource": ["*"], "condition": {"StringEquals": {"status": ["x"]}}},
    ],
)
async def test_a_condition_that_makes_no_sense_is_refused(admin: Admin, statement: Any) -> None:
    whole = {"action": ["read"], "resource": ["task"], **statement}
    refuse(admin, guarded_application(roles={**GUARDED_ROLES, "x": {"statements": [whole]}}))


@contract("roles: subscriptions are narrowed")
async def test_events_are_narrowed_to_the_permitted_rows(
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
async def test_the_channel_of_a_narrowed_subscription_is_that_of_both_filters(
    member: NexxusClient, staff: NexxusClient
) -> None:
    await member.connect()
    await staff.connect()

    narrowed = await member.subscribe("task")
    whole = await staff.subscribe("task")

    assert whole.channel_id == f"nxx:subscription:{staff.app_id}:task"
    assert narrowed.channel_id.startswith(f"{whole.channel_id}:filter:")


@contract("roles: a change narrows live subscriptions anew")
async def test_when_roles_shrink_what_is_no_longer_permitted_leaves_as_denied(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await of_type("staff", app, new_client, admin)
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


@contract("roles: a change narrows live subscriptions anew")
async def test_when_roles_grow_the_device_reads_the_channel_anew(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await of_type("staff", app, new_client, admin)
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


@contract("roles: a change narrows live subscriptions anew")
async def test_when_a_model_is_no_longer_permitted_at_all_everything_leaves_as_denied(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    staff = await of_type("staff", app, new_client, admin)
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
    await denied(member, "POST", "/subscription/", {"model": "task"})
    seen = len(member.socket.frames)
    await staff.update("task", tasks[0]["id"], replace(points=1))
    own = await member.create("task", title="x")
    admin.put(app["id"], {"roles": GUARDED_ROLES})
    await member.wait_for("resync", after=seen)
    await member.converged(*views)
    assert set(views[0].items) == {own["id"], *(task["id"] for task in tasks)}


@contract("a change of a user's type ends its sessions")
@pytest.mark.parametrize("change", [{"userType": "staff"}, {"disabled": True}])
async def test_changing_a_users_type_or_disabling_one_ends_the_sessions(
    guarded: Any, new_client: Any, admin: Admin, change: Any
) -> None:
    client = await new_client(guarded).register_user(unique("changed"))
    await client.connect()

    admin.set_user(guarded["id"], client.user_id, **change)

    assert await client.socket.wait_closed() == 4001
    await client.refused("GET", "/user/me", status=401, error="UserTokenExpiredException")


# Management


@contract("managing applications")
async def test_an_application_is_created_read_listed_changed_and_removed(admin: Admin) -> None:
    document = open_application(description="first")
    created = admin.create(document)
    app_id = document["id"]
    assert created["id"] == app_id

    read = admin.http.get(f"/applications/{app_id}").json()
    assert read == {"data": created}
    listed = admin.http.get("/applications", params={"limit": 1000}).json()["data"]["items"]
    assert app_id in [item["id"] for item in listed]
    changed = admin.put(app_id, {"id": app_id, "description": "second"})
    assert changed == {**created, "description": "second"}

    removed = admin.http.delete(f"/applications/{app_id}")
    assert removed.status_code == 200
    assert set(removed.json()) == {"message"}
    assert_error(admin.http.get(f"/applications/{app_id}"), 404, "ApplicationNotFoundException")


@contract("managing applications")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_application_that_is_not_there_cannot_be_managed(
    admin: Admin, method: str
) -> None:
    response = admin.http.request(
        method, "/applications/nobody-made-this", json={} if method == "PUT" else None
    )
    assert_error(response, 404, "ApplicationNotFoundException")


@contract("managing applications")
@pytest.mark.parametrize("key", [None, "Bearer wrong", "Bearer", "Basic eDp5"])
@pytest.mark.parametrize("path", ["/applications", "/applications/x", "/applications/x/users"])
async def test_the_admin_key_is_needed(
    endpoint: Any, http: httpx.AsyncClient, key: str | None, path: str
) -> None:
    headers = {} if key is None else {"Authorization": key}
    response = await http.get(f"{endpoint.url}/admin{path}", headers=headers)

    assert response.status_code == 401
    assert response.json()["error"] in (
        "NoAuthPresentException",
        "UserAuthenticationFailedException",
    )


@contract("managing applications")
async def test_the_admin_key_is_nothing_to_an_application(client: NexxusClient) -> None:
    await client.refused(
        "GET",
        "/device",
        status=401,
        error="UserAuthenticationFailedException",
        headers={"Authorization": f"Bearer {client.endpoint.admin_key}"},
    )


@contract("managing applications")
async def test_an_id_cannot_be_changed(admin: Admin, app: Any) -> None:
    response = admin.http.put(f"/applications/{app['id']}", json={"id": "another"})

    assert_error(response, 400, "InvalidParametersException", "id")


@contract("managing applications")
async def test_a_secret_that_a_change_leaves_out_is_kept(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    client = await new_client(app).register_user("u")

    admin.put(app["id"], {"auth": app["auth"], "name": "Renamed"})

    await client.ok("GET", "/user/me")


@contract("a change is in force soon, without downtime")
async def test_a_new_field_can_be_used_within_five_seconds(admin: Admin, new_client: Any) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    old = await client.create("task", title="old")
    fields = {**TASK["fields"], "colour": {"type": "string", "filterable": True}}

    admin.put(app["id"], {"schema": {**SCHEMA, "task": {"fields": fields}}})

    async def accepted() -> bool:
        response = await client.write("POST", "/model/task", {"title": "x", "colour": "red"})
        return response.status_code == 201

    await eventually(accepted, patience=5)
    found = await client.search("task", filter={"colour": "red"})
    assert [item["colour"] for item in found] == ["red"]
    assert await client.search("task", filter={"colour": None}) == [old]


@contract("a change is in force soon, without downtime")
async def test_a_field_that_becomes_filterable_is_filtered_in_old_objects_too(
    admin: Admin, new_client: Any
) -> None:
    schema = {"thing": {"fields": {"n": {"type": "int"}}}}
    app = admin.create(open_application(schema=schema))
    client = await new_client(app).register_device()
    things = [await client.create("thing", n=n) for n in range(5)]
    await client.refused("POST", "/model/thing/search", {"filter": {"n": 1}}, "n")

    admin.put(
        app["id"], {"schema": {"thing": {"fields": {"n": {"type": "int", "filterable": True}}}}}
    )

    async def found() -> bool:
        response = await client.send(
            "POST", "/model/thing/search", {"filter": {"n": {"gte": 3}}, "sort": ["-n"]}
        )
        return response.status_code == 200 and response.json()["data"]["items"] == things[:2:-1]

    await eventually(found, patience=5)


@contract("a change is in force soon, without downtime")
async def test_a_removed_application_is_gone_with_all_that_was_in_it(
    admin: Admin, new_client: Any
) -> None:
    document = open_application()
    admin.create(document)
    client = await new_client(document).register_device()
    await client.create("task", title="x")
    await client.connect()

    assert admin.http.delete(f"/applications/{document['id']}").status_code == 200

    async def refused() -> bool:
        return (await client.send("POST", "/model/task/search", {})).status_code == 404

    await eventually(refused, patience=5)
    await client.socket.wait_closed()
    admin.create(document)
    again = await new_client(document).register_device()
    assert await again.search("task") == []


@contract("a schema must fit what is stored")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"f": {"type": "string"}}, {"g": {"type": "string"}}),
        ({"f": {"type": "string"}}, {"f": {"type": "int"}}),
        ({"f": {"type": "string"}}, {"f": {"type": "date"}}),
        (
            {"f": {"type": "string"}},
            {"f": {"type": "string"}, "g": {"type": "int", "required": True}},
        ),
        ({"f": {"type": "string", "nullable": True}}, {"f": {"type": "string"}}),
    ],
)
async def test_a_schema_under_which_an_object_would_be_invalid_is_refused(
    admin: Admin, new_client: Any, before: Any, after: Any
) -> None:
    app = admin.create(open_application(schema={"thing": {"fields": before}}))
    client = await new_client(app).register_device()
    value = None if before["f"].get("nullable") else "text"
    thing = await client.create("thing", f=value)

    response = admin.http.put(
        f"/applications/{app['id']}", json={"schema": {"thing": {"fields": after}}}
    )

    assert_error(response, 400, "InvalidParametersException", thing["id"])
    assert await client.get("thing", thing["id"]) == thing


@contract("a schema must fit what is stored")
@pytest.mark.parametrize(
    ("kind", "value", "other"),
    [
        ("date", 1_700_000_000, {"type": "int"}),
        ("date", 1_700_000_000, {"type": "float"}),
        ("int", 1, {"type": "date"}),
        ("float", 1.0, {"type": "int"}),
    ],
)
async def test_a_number_does_not_become_a_date_nor_a_date_a_number(
    admin: Admin, new_client: Any, kind: str, value: Any, other: Any
) -> None:
    def schema(field: Any) -> Any:
        inner = {"type": "object", "properties": {"f": field}}
        many = {"type": "array", "arrayType": "object", "properties": {"f": field}}
        return {"thing": {"fields": {"one": inner, "many": many}}}

    app = admin.create(open_application(schema=schema({"type": kind})))
    client = await new_client(app).register_device()
    put = partial(admin.http.put, f"/applications/{app['id']}")
    thing = await client.create("thing", one={"f": value})
    assert_error(
        put(json={"schema": schema(other)}), 400, "InvalidParametersException", thing["id"]
    )

    await client.delete("thing", thing["id"])
    more = await client.create("thing", many=[{"f": value}])
    assert_error(put(json={"schema": schema(other)}), 400, "InvalidParametersException", more["id"])
    await client.delete("thing", more["id"])
    assert put(json={"schema": schema(other)}).status_code == 200


@contract("a schema must fit what is stored")
async def test_a_model_with_objects_cannot_be_taken_away(admin: Admin, new_client: Any) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    note = await client.create("note", text="x")

    schema = {name: model for name, model in SCHEMA.items() if name != "note"}
    response = admin.http.put(f"/applications/{app['id']}", json={"schema": schema})

    assert_error(response, 400, "InvalidParametersException", note["id"])


@contract("a schema must fit what is stored")
async def test_an_int_may_become_a_float(admin: Admin, new_client: Any) -> None:
    app = admin.create(with_field(type="int", filterable=True))
    client = await new_client(app).register_device()
    await client.create("thing", f=1)

    admin.put(app["id"], with_field(type="float", filterable=True) | {"id": app["id"]})

    async def accepted() -> bool:
        return (await client.write("POST", "/model/thing", {"f": 1.5})).status_code == 201

    await eventually(accepted, patience=5)
    assert await client.count("thing", filter={"f": {"gt": 0.5}}) == 2


# Users


@contract("managing users")
async def test_users_are_listed_changed_disabled_and_removed(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    users = f"/applications/{app['id']}/users"
    clients = [await new_client(app).register_user(name) for name in ("ann", "bob", "cyd")]

    listed = admin.http.get(users).json()["data"]["items"]
    assert sorted(user["username"] for user in listed) == ["ann", "bob", "cyd"]
    assert "password" not in str(listed)
    assert "argon2" not in str(listed)
    pages = [
        admin.http.get(users, params={"limit": 2, "offset": offset}).json()["data"]["items"]
        for offset in (0, 2)
    ]
    assert [len(page) for page in pages] == [2, 1]
    assert pages[0] + pages[1] == listed

    ann, bob, cyd = clients
    admin.set_user(app["id"], ann.user_id, userType="staff")
    await ann.sign_in("ann")
    assert (await ann.ok("GET", "/user/me"))["userType"] == "staff"

    admin.set_user(app["id"], bob.user_id, disabled=True)
    body = {"username": "bob", "password": "correct horse"}
    as_disabled = await bob.refused(
        "POST", "/auth/local", body, status=401, error="UserAuthenticationFailedException"
    )
    as_wrong = await bob.refused(
        "POST",
        "/auth/local",
        {**body, "username": "cyd", "password": "wrong"},
        status=401,
        error="UserAuthenticationFailedException",
    )
    assert as_disabled["message"] == as_wrong["message"]
    admin.set_user(app["id"], bob.user_id, disabled=False)
    await bob.sign_in("bob")

    assert admin.http.delete(f"{users}/{cyd.user_id}").status_code == 200
    await cyd.refused("GET", "/user/me", status=401, error="UserTokenExpiredException")
    assert len(admin.http.get(users).json()["data"]["items"]) == 2
    assert_error(admin.http.delete(f"{users}/{cyd.user_id}"), 404, "NotFoundException")


@contract("managing users")
@pytest.mark.parametrize("change", [{"userType": "king"}, {"colour": "red"}, {"disabled": "no"}])
async def test_a_change_of_a_user_that_makes_no_sense_is_refused(
    admin: Admin, new_client: Any, change: Any
) -> None:
    app = admin.create(signed_application())
    client = await new_client(app).register_user("u")

    response = admin.http.put(f"/applications/{app['id']}/users/{client.user_id}", json=change)
    assert_error(response, 400, "InvalidParametersException", *change)
