"""Contract §4: the meaning of filters, and the order and paging of results."""

from __future__ import annotations

import itertools
import random
from functools import partial
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient
from documents import open_application, signed_application
from oracle import lookup, matches, random_fields, random_filter

contract = partial(pytest.mark.contract, "4. Models")

ROWS: list[dict[str, Any]] = [
    {"title": "none"},
    {"title": "nulls", "dueDate": None, "notes": None, "tags": [], "scores": []},
    {"title": "empty", "status": "", "location": {}},
    {"title": "zero", "points": 0, "weight": 0, "done": False, "dueDate": 0},
    {"title": "one", "points": 1, "weight": 1.0, "done": True, "status": "todo"},
    {"title": "half", "points": 2, "weight": 0.5, "tags": ["a"], "scores": [0, 1]},
    {"title": "minus", "points": -3, "weight": -0.25, "tags": ["a", "b"], "scores": [1]},
    {"title": "far", "points": 2**53, "weight": 1e300, "dueDate": 4_102_444_800},
    {"title": "place", "location": {"lat": 48.85, "lon": 2.35, "city": "Paris"}},
    {"title": "floor", "location": {"place": {"floor": 2, "room": "b"}}, "done": False},
    {"title": "ecole", "status": "é", "tags": ["é"]},
    {"title": "ecole2", "status": "e\u0301", "tags": ["e\u0301"]},
    {"title": "case", "status": "TODO", "points": 1, "dueDate": 1_700_000_000},
]


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    app = admin.create(open_application())
    for row in ROWS:
        response = httpx2.post(
            f"{admin.endpoint.url}/model/task",
            json={"id": f"row-{row['title']}", **row},
            headers={"nxx-app-id": app["id"], "Prefer": "wait=20"},
        )
        assert response.status_code == 201, response.text
    return app


def titles(items: list[dict[str, Any]]) -> set[str]:
    return {item["title"] for item in items}


@contract("the meaning of filters")
async def test_random_filters_mean_the_same_to_the_server_and_to_the_reference(
    admin: Admin, new_client: Any
) -> None:
    rng = random.Random(2026)
    client = await new_client(admin.create(open_application())).register_device()
    for number in range(60):
        await client.create("task", title=str(number), **random_fields(rng))
    rows = await client.search("task", limit=1000)

    for _ in range(300):
        asked = random_filter(rng, depth=3)
        found = await client.search("task", limit=1000, filter=asked)
        assert found == [row for row in rows if matches(asked, row)], asked


@contract("the meaning of filters")
@pytest.mark.parametrize(
    "filter",
    [
        {"dueDate": {"eq": "2023-11-14T22:13:20Z"}},
        {"dueDate": {"in": ["2023-11-14T22:13:20.5Z"]}},
        {"dueDate": {"gte": "2023-11-14T23:13:20+01:00", "lt": "2023-11-15"}},
    ],
)
async def test_dates_are_written_as_in_objects(client: NexxusClient, filter: Any) -> None:
    assert titles(await client.search("task", filter=filter)) == {"case"}


@contract("an invalid filter is refused")
@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"notes": "x"}, "notes"),  # not filterable
        ({"nothing": 1}, "nothing"),
        ({"points": "1"}, "points"),
        ({"points": {"like": 1}}, "like"),
        ({"status": {"gt": "a"}}, "status"),
        ({"dueDate": "tomorrow"}, "dueDate"),
        ({"$and": {}}, "$and"),
        ("points", "filter"),
        ({"points": {"in": list(range(1025))}}, "points"),
    ],
)
async def test_an_invalid_filter_is_refused_by_field(
    client: NexxusClient, filter: Any, named: str
) -> None:
    await client.connect()

    await client.refused("POST", "/model/task/search", {"filter": filter}, named)
    await client.refused("POST", "/model/count", {"type": "task", "filter": filter}, named)
    await client.refused("POST", "/subscription/", {"model": "task", "filter": filter}, named)


@contract("an invalid filter is refused")
async def test_an_in_of_1024_values_is_one_condition(client: NexxusClient) -> None:
    values = list(range(1024))

    found = await client.search("task", filter={"$or": [{"points": {"in": values}}]})
    assert titles(found) == {"zero", "one", "half", "case"}


@contract("the owner as a filter")
async def test_objects_are_found_by_their_owner(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    ann = await new_client(app).register_user("ann")
    bob = await new_client(app).register_user("bob")
    task = await ann.create("task", title="hers", points=1)
    await bob.create("task", title="his", points=1)

    assert await bob.search("task", userId=ann.user_id) == [task]
    assert await bob.search("task", filter={"userId": ann.user_id}) == [task]
    assert await bob.count("task", userId=ann.user_id, filter={"points": 1}) == 1
    assert await bob.search("task", id=task["id"]) == [task]
    await bob.refused("POST", "/model/task/search", {"id": "x", "userId": "y"})


@contract("the owner as a filter")
async def test_an_owner_in_an_application_without_users_is_refused(client: NexxusClient) -> None:
    await client.refused("POST", "/subscription/", {"model": "task", "userId": "x"}, "userId")


# Order and pages


@contract("order")
@pytest.mark.parametrize(
    "sort",
    [
        *(
            ["weight", "-points"],
            ["done", "title"],
            ["-dueDate"],
            ["-location.place.floor", "points"],
        ),
    ],
    ids=str,
)
async def test_results_have_the_requested_order_with_missing_values_last(
    client: NexxusClient, sort: list[str]
) -> None:
    rows = await client.search("task", limit=1000)

    found = await client.search("task", limit=1000, sort=sort)

    assert [item["id"] for item in found] == [item["id"] for item in ordered(rows, sort)]


def ordered(rows: list[dict[str, Any]], sort: list[str]) -> list[dict[str, Any]]:
    """`rows` by `sort`, then id; stable sorts from the last key to the first."""
    result = sorted(rows, key=lambda row: row["id"])
    for key in reversed(sort):
        path = key.removeprefix("-")
        there = [row for row in result if lookup(row, path) is not None]
        there.sort(key=lambda row: lookup(row, path), reverse=key.startswith("-"))
        result = there + [row for row in result if lookup(row, path) is None]
    return result


@contract("order")
async def test_by_default_the_oldest_objects_come_first(client: NexxusClient) -> None:
    found = await client.search("task", limit=1000)

    keys = [(item["createdAt"], item["id"]) for item in found]
    assert keys == sorted(keys)


@contract("order")
@pytest.mark.parametrize("sort", ["points", ["notes"], ["tags"], [1], ["id", "nothing"]])
async def test_an_invalid_order_is_refused(client: NexxusClient, sort: Any) -> None:
    await client.refused("POST", "/model/task/search", {"sort": sort}, "sort")


@contract("pages")
async def test_a_limit_has_the_applications_default_and_is_cut_to_its_maximum(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application(defaultLimit=2, maxLimit=3))
    client = await new_client(app).register_device()
    for number in range(5):
        await client.create("note", text=str(number))

    assert len(await client.search("note")) == 2
    assert len(await client.search("note", limit=1)) == 1
    assert len(await client.search("note", limit=1000)) == 3
    assert len(await client.search("note", limit=1000, offset=3)) == 2
    assert await client.search("note", offset=5) == []


@contract("pages")
@pytest.mark.parametrize(
    "page", [{"limit": 0}, {"limit": -1}, {"limit": "5"}, {"limit": 1.5}, {"offset": -1}]
)
async def test_an_invalid_page_is_refused(client: NexxusClient, page: Any) -> None:
    (named,) = page
    await client.refused("POST", "/model/task/search", page, named)


@contract("pages")
@pytest.mark.parametrize(
    "sort", [None, ["points"], ["-points"], ["done", "-weight"], ["-dueDate"]], ids=str
)
@pytest.mark.parametrize("limit", [1, 4])
async def test_a_cursor_visits_every_object_exactly_once(
    client: NexxusClient, sort: Any, limit: int
) -> None:
    query = {"limit": limit} | ({"sort": sort} if sort else {})
    whole = await client.search("task", **{**query, "limit": 1000})

    walked: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in itertools.count():
        page = await client.search_page("task", **query, **cursor)
        walked += page["items"]
        if "cursor" not in page:
            break
        assert len(page["items"]) == limit
        cursor = {"cursor": page["cursor"]}

    assert walked == whole


@contract("pages")
async def test_a_cursor_is_stable_under_writes(admin: Admin, new_client: Any) -> None:
    client = await new_client(admin.create(open_application())).register_device()
    for number in range(10):
        await client.create("task", id=f"t{number}", title="x", points=10 * number)
    page = await client.search_page("task", limit=5, sort=["points"])

    await client.delete("task", "t0")
    await client.delete("task", "t4")
    await client.create("task", id="early", title="x", points=15)
    await client.create("task", id="late", title="x", points=55)
    rest = await client.search_page("task", limit=50, sort=["points"], cursor=page["cursor"])

    assert [item["id"] for item in rest["items"]] == ["t5", "late", "t6", "t7", "t8", "t9"]
    assert "cursor" not in rest


@contract("pages")
async def test_a_cursor_of_another_query_is_refused(client: NexxusClient) -> None:
    page = await client.search_page("task", limit=2, sort=["points"])
    cursor = page["cursor"]

    for other in [
        {"sort": ["-points"]},
        {"sort": ["points"], "filter": {"done": True}},
        {"sort": ["points"], "offset": 1},
        {},
    ]:
        await client.refused(
            "POST", "/model/task/search", {"limit": 2, "cursor": cursor, **other}, "cursor"
        )
    for nonsense in ("x", "", 7, "e30="):
        await client.refused(
            "POST", "/model/task/search", {"sort": ["points"], "cursor": nonsense}, "cursor"
        )


# Spellings of one filter


SPELLINGS = [
    [{"points": 1}, {"points": {"$eq": 1.0}}, {"points": {"in": [1, 1]}}],
    [{"points": 1, "status": "a"}, {"$and": [{"status": "a"}, {"points": 1}]}],
    [{"dueDate": {"gte": "2023-11-14T22:13:20Z"}}, {"dueDate": {"$gte": 1_700_000_000}}],
    [{"status": {"ne": "a"}}, {"not": {"status": {"eq": "a"}}}],
]


@contract("one filter, one channel")
async def test_every_spelling_of_a_filter_is_the_same_channel(client: NexxusClient) -> None:
    await client.connect()

    channels = []
    for spellings in SPELLINGS:
        views = [await client.subscribe("task", filter=spelling) for spelling in spellings]
        channels.append({view.channel_id for view in views})

    assert [len(ids) for ids in channels] == [1] * len(SPELLINGS)
    assert len(set.union(*channels)) == len(SPELLINGS), "different filters, different channels"
