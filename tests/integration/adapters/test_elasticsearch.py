"""The Elasticsearch database among several nodes, and when the cluster is in trouble."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from elasticsearch import ConnectionError as ConnectionLost
from elasticsearch_server import new_index_prefix, running_elasticsearch
from services.elasticsearch import ElasticsearchServer

from nexxus.adapters.elasticsearch import searches
from nexxus.adapters.elasticsearch.database import ElasticsearchDatabase
from nexxus.adapters.elasticsearch.layouts import LONGEST_TERM
from nexxus.adapters.elasticsearch.names import index_of
from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings
from nexxus.domain.filters import Compare, In, Not, Op
from nexxus.domain.objects import ObjectKey
from nexxus.domain.schema import ModelType, compile_model
from nexxus.errors import ModelNotFound, ServiceUnavailable, StartupError
from nexxus.interfaces.database import Query, SortKey
from nexxus.testing.database_kit.materials import (
    TASK,
    delete,
    ids,
    loaded,
    pages,
    replace,
    store,
    task,
)

APP = "app"
PLAIN = compile_model("task", {"notes": {"type": "string"}})
KEY = ObjectKey(APP, "task", "a")


class World:
    """Several nodes' databases on the same indices, and the cluster itself."""

    def __init__(self, stack: AsyncExitStack, client: AsyncElasticsearch, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self.index = index_of(prefix, APP, "task")
        self._stack = stack

    def settings(self, **changes: Any) -> ElasticsearchSettings:
        (node,) = self.client.transport.node_pool.all()
        return ElasticsearchSettings(urls=(node.base_url,), index_prefix=self.prefix, **changes)

    async def node(self, **changes: Any) -> ElasticsearchDatabase:
        database = ElasticsearchDatabase(self.settings(**changes))
        await database.open()
        self._stack.push_async_callback(database.close)
        return database

    async def configure(self, **settings: Any) -> None:
        await self.client.indices.put_settings(index=self.index, settings=settings)


@pytest.fixture
async def world(elasticsearch_server: ElasticsearchServer) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        prefix = stack.enter_context(new_index_prefix(elasticsearch_server))
        client = await stack.enter_async_context(AsyncElasticsearch(elasticsearch_server.url))
        yield World(stack, client, prefix)


def model(*paths: str) -> ModelType:
    return compile_model("task", {path: {"type": "string", "filterable": True} for path in paths})


# Rebuilds


async def test_a_rebuild_loses_nothing_that_other_nodes_write_meanwhile(world: World) -> None:
    builder, *writers = [await world.node() for _ in range(3)]
    await builder.prepare(APP, [PLAIN])
    await store(builder, *(task(APP, f"t{n}", points=0) for n in range(200)))
    acknowledged = {f"t{n}": 0 for n in range(200)}
    done = asyncio.Event()

    async def write(database: ElasticsearchDatabase, first: int) -> None:
        n = first
        while not done.is_set():
            name = f"t{n % 200}"
            if name in acknowledged:
                former = await loaded(database, ObjectKey(APP, "task", name))
                if n % 7 == 0:
                    assert await delete(database, former)
                    del acknowledged[name]
                else:
                    assert await replace(database, former, points=n)
                    acknowledged[name] = n
            await store(database, task(APP, f"new{n}", points=n))
            acknowledged[f"new{n}"] = n
            n += len(writers)

    async with asyncio.TaskGroup() as group:
        for n, writer in enumerate(writers):
            group.create_task(write(writer, n))
        await builder.prepare(APP, [model("title")])
        await builder.prepare(APP, [TASK])
        done.set()
    found = await writers[0].search(Query(APP, TASK, limit=10_000))
    assert {document["id"]: document["points"] for document in found} == acknowledged
    for bound in (0, 1, 100):
        expected = {name for name, points in acknowledged.items() if points >= bound}
        assert await ids(builder, APP, Compare("points", Op.GTE, bound)) == expected


async def test_a_node_that_knows_the_former_fields_alone_writes_the_new_ones(world: World) -> None:
    builder, writer = await world.node(), await world.node()
    await builder.prepare(APP, [PLAIN])
    await store(writer, task(APP, "a", title="one"))
    former = await loaded(writer, KEY)
    await builder.prepare(APP, [TASK])
    await store(writer, task(APP, "b", title="one"))
    assert await ids(builder, APP, Compare("title", Op.EQ, "one")) == {"a", "b"}
    # The rebuild has written this document, but not another version of it.
    assert await replace(writer, former, title="two")
    assert await ids(writer, APP, Compare("title", Op.EQ, "two")) == {"a"}


async def test_nodes_that_prepare_at_once_have_all_their_fields(world: World) -> None:
    nodes = [await world.node() for _ in range(4)]
    await asyncio.gather(*(node.prepare(APP, [PLAIN]) for node in nodes))
    names = ["one", "two", "three", "four"]
    documents = [task(APP, f"t{n}", **dict.fromkeys(names, f"{n}")) for n in range(60)]
    await store(nodes[0], *documents)
    await asyncio.gather(
        *(node.prepare(APP, [model(name)]) for node, name in zip(nodes, names, strict=True))
    )
    for node in nodes:
        for name in names:
            found = await ids(node, APP, Compare(name, Op.EQ, "7"), model(name))
            assert found == {"t7"}


async def test_a_rebuild_that_is_cut_off_anywhere_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await world.node()
    await node.prepare(APP, [PLAIN])
    cut_at, is_cut = 0, True
    while is_cut:
        path = f"field{cut_at}"
        grown, wanted = model(path), Compare(path, Op.EQ, "1")
        await store(node, *(task(APP, f"{path}-{n}", **{path: f"{n % 2}"}) for n in range(4)))
        with monkeypatch.context() as patch:
            _cut_connection(patch, after=cut_at)
            try:
                await (await world.node()).prepare(APP, [grown])
                is_cut = False
            except ServiceUnavailable:
                cut_at += 1
        with suppress(ServiceUnavailable):  # it may refuse to answer, but not answer wrongly
            assert await ids(node, APP, wanted, grown) == {f"{path}-1", f"{path}-3"}
        await node.prepare(APP, [grown])
        await store(node, task(APP, f"{path}-new", **{path: "1"}))
        found = await ids(node, APP, wanted, grown)
        assert found == {f"{path}-1", f"{path}-3", f"{path}-new"}
    assert cut_at > 8, "each request of a rebuild was the last one once"


def _cut_connection(patch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the cluster be gone `after` so many requests (and the one that opens)."""
    original = AsyncElasticsearch.perform_request
    left = after + 1

    async def perform_request(self: AsyncElasticsearch, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionLost("cut off")
        return await original(self, *args, **kwargs)

    patch.setattr(AsyncElasticsearch, "perform_request", perform_request)


# Several nodes


async def test_what_one_node_commits_every_other_finds_at_once(world: World) -> None:
    one, other = await world.node(), await world.node()
    await one.prepare(APP, [TASK])
    for n in range(20):
        await store(one, task(APP, f"t{n}"))
        assert await other.count(APP, TASK) == n + 1


async def test_of_nodes_that_purge_at_once_each_tombstone_is_counted_by_one(world: World) -> None:
    nodes = [await world.node() for _ in range(3)]
    assert await nodes[0].purge(100) == 0
    await nodes[0].prepare(APP, [TASK])
    await store(nodes[0], *(task(APP, f"t{n}") for n in range(30)))
    for n in range(25):
        await delete(nodes[0], await loaded(nodes[0], ObjectKey(APP, "task", f"t{n}")), at=n)
    assert sum(await asyncio.gather(*(node.purge(20) for node in nodes))) == 20
    assert await nodes[0].purge(100) == 5


async def test_what_another_node_has_dropped_is_not_made_again_by_a_write(world: World) -> None:
    one, other = await world.node(), await world.node()
    await one.prepare(APP, [TASK])
    await store(other, task(APP, "a"))
    former = await loaded(other, KEY)
    await one.drop(APP)
    with pytest.raises(ModelNotFound):
        await store(other, task(APP, "b"))
    with pytest.raises(ModelNotFound):
        await replace(other, former)
    assert await other.load([KEY]) == [None]
    assert await ids(other, APP) == set()
    assert not await world.client.indices.exists(index=f"{world.prefix}.*", allow_no_indices=False)
    await one.prepare(APP, [TASK])
    await store(other, task(APP, "b"))
    assert await ids(one, APP) == {"b"}


# Values and pages


async def test_strings_longer_than_a_term_are_found_and_told_apart(world: World) -> None:
    node = await world.node()
    await node.prepare(APP, [TASK])
    longest = "é" * (LONGEST_TERM // 2)
    titles = ["e", longest, f"{longest}a", f"{longest}b", "x" * 1_000_000, "x" * 999_999, "z"]
    await store(node, *(task(APP, f"t{n}", title=t, tags=[t]) for n, t in enumerate(titles)))
    for n, title in enumerate(titles):
        for op, path in ((Op.EQ, "title"), (Op.CONTAINS, "tags")):
            assert await ids(node, APP, Compare(path, op, title)) == {f"t{n}"}
    some = In("title", (titles[2], titles[4]))
    assert await ids(node, APP, Not(some)) == {"t0", "t1", "t3", "t5", "t6"}
    order = await pages(node, APP, (SortKey("title"), SortKey("id")), 2)
    assert sorted(order) == [f"t{n}" for n in range(7)]
    assert (order[0], order[3]) == ("t0", "t6")
    assert (await loaded(node, ObjectKey(APP, "task", "t4"))).document["title"] == titles[4]


async def test_pages_reach_further_than_a_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await world.node()
    await node.prepare(APP, [TASK])
    await store(node, *(task(APP, f"t{n:02}", points=n // 3 if n % 5 else None) for n in range(40)))
    query = Query(APP, TASK, sort=(SortKey("points", True), SortKey("id")), limit=100)
    everything = await node.search(query)
    monkeypatch.setattr(searches, "WINDOW", 7)
    for offset, limit in [(0, 100), (5, 2), (6, 3), (14, 20), (39, 5), (40, 5), (2**60, 1)]:
        found = await node.search(Query(APP, TASK, sort=query.sort, limit=limit, offset=offset))
        assert found == everything[offset : offset + limit]
    after = (everything[3].get("points"), everything[3]["id"])
    behind = Query(APP, TASK, sort=query.sort, limit=12, offset=9, after=after)
    assert await node.search(behind) == everything[13:25]


# Trouble


async def test_a_full_disk_refuses_writes_and_says_so_and_reads_go_on(world: World) -> None:
    node = await world.node()
    await node.prepare(APP, [TASK])
    await store(node, task(APP, "a"))
    await world.configure(**{"index.blocks.read_only_allow_delete": True})
    with pytest.raises(ServiceUnavailable, match="free space or add a node"):
        await store(node, task(APP, "b"))
    assert (await loaded(node, KEY)).version == 1
    assert await ids(node, APP) == {"a"}
    await world.configure(**{"index.blocks.read_only_allow_delete": None})
    await store(node, task(APP, "b"))
    assert await ids(node, APP) == {"a", "b"}


async def test_a_missing_shard_is_told_and_never_passed_over(world: World) -> None:
    pattern = [f"{world.prefix}.*"]
    nowhere = {"settings": {"index.routing.allocation.require._name": "nobody"}}
    await world.client.indices.put_index_template(
        name=world.prefix, index_patterns=pattern, template=nowhere
    )
    node = await world.node(request_timeout=1.0)
    with pytest.raises(ServiceUnavailable):
        await node.prepare(APP, [TASK])
    with pytest.raises(ServiceUnavailable, match="allocation/explain"):
        await node.ping()
    asked: list[Coroutine[Any, Any, Any]] = [
        node.load([KEY]),
        node.count(APP, TASK),
        node.search(Query(APP, TASK)),
        store(node, task(APP, "a")),
    ]
    for ask in asked:
        with pytest.raises(ServiceUnavailable):
            await ask
    await world.client.indices.delete_index_template(name=world.prefix)
    await world.configure(**{"index.routing.allocation.require._name": None})
    await world.client.cluster.health(index=world.index, wait_for_status="yellow")
    await node.ping()
    await node.prepare(APP, [TASK])
    await store(node, task(APP, "b"))
    assert "b" in await ids(node, APP)


async def test_a_server_that_was_killed_comes_back_with_everything(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_elasticsearch(tmp_path_factory) as server:
        settings = ElasticsearchSettings(urls=(server.url,))
        node = ElasticsearchDatabase(settings)
        await node.open()
        try:
            await node.prepare(APP, [TASK])
            acknowledged = set[str]()
            killed = asyncio.create_task(asyncio.to_thread(server.kill))
            with pytest.raises(ServiceUnavailable, match="is away"):
                await _store_for_ever(node, acknowledged)
            await killed
            for ask in (node.ping(), node.load([KEY]), node.count(APP, TASK)):
                with pytest.raises(ServiceUnavailable, match="is away"):
                    await ask
            other = ElasticsearchDatabase(settings)
            with pytest.raises(ServiceUnavailable, match="is away"):
                await other.open()
            await asyncio.to_thread(server.start)
            await node.ping()
            # The write that got no answer may be there or not.
            assert await ids(node, APP) - {f"t{len(acknowledged)}"} == acknowledged
            await store(node, task(APP, "after"))
            await other.open()
            assert "after" in await ids(other, APP)
            await other.close()
        finally:
            await node.close()


async def _store_for_ever(node: ElasticsearchDatabase, acknowledged: set[str]) -> None:
    while True:
        name = f"t{len(acknowledged)}"
        await store(node, task(APP, name))
        acknowledged.add(name)


# Starting


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, {"version": {"number": "7.17.0"}, "tagline": "You Know, for Search"}, "7.17.0"),
        (200, {"version": {"number": "9.1.0"}, "tagline": "You Know, for Search"}, "9.1.0"),
        (200, {"name": "something else"}, "not Elasticsearch"),
        (401, {"error": {"type": "security_exception", "reason": "who?"}}, "database.api_key"),
    ],
)
async def test_a_server_that_will_not_do_is_refused_with_the_reason(
    status: int, body: dict[str, Any], message: str
) -> None:
    async with _answering(status, body, is_product="name" not in body) as url:
        database = ElasticsearchDatabase(ElasticsearchSettings(urls=(url,)))
        with pytest.raises(StartupError, match=message):
            await database.open()
        await database.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"urls": ("nowhere",)}, "database.urls"), ({"ca_file": "/nowhere.pem"}, "database.ca_file")],
)
async def test_settings_that_cannot_work_are_refused_by_name(
    changes: dict[str, Any], message: str
) -> None:
    database = ElasticsearchDatabase(ElasticsearchSettings(**changes))
    with pytest.raises(StartupError, match=message):
        await database.open()


@asynccontextmanager
async def _answering(status: int, body: dict[str, Any], *, is_product: bool) -> AsyncIterator[str]:
    """A server that gives one answer to everything."""
    content = json.dumps(body).encode()
    product = "X-Elastic-Product: Elasticsearch\r\n" if is_product else ""
    head = (
        f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n{product}"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
